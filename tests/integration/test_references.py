"""
Foreign keys mean what they say, although DuckDB does not know of them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pytest
import pytest_asyncio
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from project_architect_db import (
    ConstraintError,
    DatabaseEngine,
    TransactionAbortedError,
)
from project_architect_db.errors import MissingParentError, StillReferencedError

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(DeclarativeBase):
    pass


class Team(Model):
    """
    Restricts by its members, cascades to its boards, lets go of its guests.
    """

    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="a team")
    deleted_at: Mapped[datetime | None] = mapped_column(info={"softly_deleted": True})
    notes: Mapped[list[Note]] = relationship(
        cascade="all, delete", passive_deletes=True
    )


class Board(Model):
    __tablename__ = "boards"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="cascade"))


class Card(Model):
    __tablename__ = "cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    board_id: Mapped[int] = mapped_column(ForeignKey("boards.id", ondelete="CASCADE"))


class Guest(Model):
    __tablename__ = "guests"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(
        ForeignKey("teams.id", ondelete="SET NULL")
    )


class Member(Model):
    __tablename__ = "members"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))


class Note(Model):
    """
    Goes with its team because the relationship says so.
    """

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"), server_default="1")


class Folder(Model):
    __tablename__ = "folders"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("folders.id", ondelete="CASCADE")
    )


class Seat(Model):
    __tablename__ = "seats"
    row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Ticket(Model):
    __tablename__ = "tickets"
    id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int | None]
    number: Mapped[int | None]
    __table_args__ = (
        ForeignKeyConstraint(
            ["row", "number"], ["seats.row", "seats.number"], ondelete="SET NULL"
        ),
    )


MODELS = (Team, Board, Card, Guest, Member, Note, Folder, Seat, Ticket)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Model.metadata) as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it but what each begins with.
    """
    await database.drop_all()
    await database.create_all()
    async with database.transaction() as session:
        await session.execute(insert(Team), [{"id": i} for i in (1, 2, 3)])
        await session.execute(insert(Board), [{"id": i, "team_id": i} for i in (1, 2)])
        await session.execute(
            insert(Card), [{"id": i, "board_id": 1 + i % 2} for i in range(10)]
        )
        await session.execute(insert(Guest), [{"id": 1, "team_id": 1}])
        await session.execute(insert(Member), [{"id": 1, "team_id": 3}])
        await session.execute(insert(Note), [{"id": 1, "team_id": 1}])
        await session.execute(insert(Seat), [{"row": 1, "number": 2}])
        await session.execute(insert(Ticket), [{"id": 1, "row": 1, "number": 2}])
    return database


async def run(engine, *statements):
    async with engine.transaction() as session:
        for statement in statements:
            await session.execute(statement)


async def ids(engine, model):
    async with engine.session() as session:
        return list(await session.scalars(select(model.id).order_by(model.id)))


# --- a parent that does not exist ---------------------------------------------------

MISSING = {
    "an insert": insert(Board).values(id=9, team_id=99),
    "many rows": insert(Board).values(
        [{"id": 8, "team_id": 1}, {"id": 9, "team_id": 99}]
    ),
    "a select": insert(Board).from_select(
        ["id", "team_id"], select(literal(9), literal(99))
    ),
    "an expression": insert(Board).values(id=9, team_id=literal(90) + 9),
    "an upsert": upsert(Board)
    .values(id=1, team_id=1)
    .on_conflict_do_update(index_elements=["id"], set_={"team_id": 99}),
    "an upsert of its row": (statement := upsert(Board).values(id=1, team_id=99))
    .on_conflict_do_update(
        index_elements=["id"], set_={"team_id": statement.excluded.team_id}
    ),
    "an update": update(Board).values(team_id=99).where(Board.id == 1),
    "an update by an expression": update(Board)
    .values(team_id=Board.team_id + 98)
    .where(Board.id == 1),
    "text": text("INSERT INTO boards VALUES (9, 99)"),
    "text that updates": text("UPDATE boards SET team_id = 99"),
    "a CTE": insert(Board).from_select(
        ["id", "team_id"], select(literal(9), literal(99)).cte("c").select()
    ),
}  # fmt: skip


@pytest.mark.parametrize("statement", MISSING.values(), ids=MISSING)
async def test_a_missing_parent_is_named_and_nothing_is_written(engine, statement):
    with pytest.raises(MissingParentError, match="teams 99, which does not") as caught:
        await run(engine, statement)
    facts = caught.value
    assert ("boards", "team_id", "teams") == (facts.table, facts.column, facts.parent)
    assert 99 in facts.keys
    assert [1, 2] == await ids(engine, Board)
    async with engine.session() as session:
        assert [1, 2] == list(await session.scalars(select(Board.team_id)))


async def test_a_missing_parent_of_objects_is_named_too(engine):
    with pytest.raises(MissingParentError, match=r"teams 4, 5, 6, …, which") as caught:
        async with engine.transaction() as session:
            session.add_all([Board(id=n + 100, team_id=n) for n in range(1, 100)])
    assert tuple(range(4, 14)) == caught.value.keys
    assert [1, 2] == await ids(engine, Board)


async def test_a_session_that_commits_by_itself_is_checked_and_can_go_on(engine):
    async with engine.session() as session:
        session.add(Board(id=9, team_id=99))
        with pytest.raises(MissingParentError):
            await session.commit()
        await session.rollback()
        session.add(Board(id=9, team_id=1))
        await session.commit()
    assert [1, 2, 9] == await ids(engine, Board)


async def test_a_plain_engine_checks_as_well():
    engine = create_async_engine("duckdb+async://")
    async with engine.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
    with pytest.raises(MissingParentError):
        async with engine.begin() as connection:
            await connection.execute(insert(Board).values(id=1, team_id=1))
    async with engine.connect() as connection:
        assert 0 == await connection.scalar(select(func.count()).select_from(Board))
    await engine.dispose()


async def test_children_may_come_before_their_parents(engine):
    await run(
        engine,
        insert(Board).values(id=9, team_id=9),
        delete(Team).where(Team.id == 2),  # takes its own board along, not that one
        insert(Team).values(id=9),
    )
    assert [1, 9] == await ids(engine, Board)


async def test_a_child_goes_with_the_parent_that_was_there_before_it(engine):
    await run(
        engine,
        insert(Board).values(id=9, team_id=2),
        delete(Team).where(Team.id == 2),
    )
    assert [1] == await ids(engine, Board)


async def test_nothing_and_part_of_a_key_refer_to_nothing(engine):
    await run(
        engine,
        insert(Guest).values([{"id": 2, "team_id": None}]),
        insert(Guest).values(id=3),
        insert(Ticket).values(id=2, row=7, number=None),
    )
    with pytest.raises(MissingParentError, match=r"row, number .* seats \(7, 7\)"):
        await run(engine, insert(Ticket).values(id=3, row=7, number=7))


async def test_a_default_of_the_server_is_checked(engine):
    await run(engine, insert(Note).values(id=2))
    await run(engine, delete(Team).where(Team.id == 1))
    with pytest.raises(MissingParentError):
        await run(engine, insert(Note).values(id=3))


async def test_a_softly_deleted_parent_has_no_new_children(engine):
    now = datetime.now(UTC).replace(tzinfo=None)
    await run(engine, update(Team).values(deleted_at=now).where(Team.id == 1))
    with pytest.raises(MissingParentError):
        await run(engine, insert(Board).values(id=9, team_id=1))
    await run(engine, delete(Card), update(Board).values(id=7).where(Board.id == 1))


async def test_many_children_of_many_parents_are_checked_at_once(engine):
    teams = [{"id": number} for number in range(10, 5_010)]
    boards = [{"id": row["id"], "team_id": row["id"]} for row in teams]
    await run(engine, insert(Team).values(id=5_010))
    async with engine.transaction() as session:
        await session.execute(insert(Board), boards)
        await session.execute(insert(Team), teams)
    assert 5_002 == len(await ids(engine, Board))


async def test_a_transaction_without_statements_has_nothing_to_check(engine):
    async with engine.session() as session:
        await session.connection()
        await session.commit()


# --- a parent that goes ------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        delete(Team).where(Team.id.in_([1, 2])),
        delete(Team).where(Team.id.in_([1, 2])).returning(Team.id),
        text("DELETE FROM teams WHERE id < 3"),
    ],
)
async def test_children_follow_or_let_go_as_their_key_says(engine, statement):
    await run(engine, statement)
    assert [3] == await ids(engine, Team)
    assert [] == await ids(engine, Board)
    assert [] == await ids(engine, Card)
    assert [] == await ids(engine, Note)
    async with engine.session() as session:
        assert [None] == list(await session.scalars(select(Guest.team_id)))


async def test_objects_take_their_children_along(engine):
    async with engine.transaction() as session:
        await session.delete(await session.get_one(Team, 1))
        await session.delete(await session.get_one(Team, 2))
    assert [] == await ids(engine, Card)


@pytest.mark.parametrize(
    "statement",
    [delete(Team).where(Team.id == 3), text("DELETE FROM teams WHERE id = 3")],
)
async def test_a_parent_that_is_needed_stays(engine, statement):
    with pytest.raises(StillReferencedError, match="teams 3 cannot go") as caught:
        await run(engine, statement)
    facts = caught.value
    assert ("members", "team_id", "teams") == (facts.table, facts.column, facts.parent)
    assert [1, 2, 3] == await ids(engine, Team)


async def test_a_refused_deletion_cannot_be_swallowed(engine):
    with pytest.raises(TransactionAbortedError, match="teams 3 cannot go"):
        async with engine.transaction() as session:
            with pytest.raises(StillReferencedError):
                await session.execute(delete(Team))
    assert 10 == len(await ids(engine, Card))


async def test_a_key_that_is_needed_does_not_change(engine):
    with pytest.raises(StillReferencedError, match="teams 3 cannot be given another"):
        await run(engine, update(Team).values(id=33).where(Team.id == 3))
    await run(
        engine,
        update(Team).values(id=33).where(Team.id == 3),
        update(Member).values(team_id=33),
    )
    await run(engine, update(Team).values(name="x").where(Team.id == 33))


async def test_a_tree_goes_from_its_root_to_its_leaves(engine):
    folders = [{"id": 1, "parent_id": None}]
    folders += [{"id": number, "parent_id": number // 2} for number in range(2, 100)]
    async with engine.transaction() as session:
        await session.execute(insert(Folder), folders)
    await run(engine, delete(Folder).where(Folder.id == 2))
    left = await ids(engine, Folder)
    assert [1, 3, 6, 7] == left[:4]
    await run(engine, delete(Folder).where(Folder.id == 1))
    assert [] == await ids(engine, Folder)


async def test_keys_of_several_columns(engine):
    await run(engine, delete(Seat))
    async with engine.session() as session:
        assert (None, None) == (
            await session.execute(select(Ticket.row, Ticket.number))
        ).one()


async def test_a_hundred_thousand_children_go_in_one_transaction(engine):
    async with engine.transaction() as session:
        await session.execute(
            text("INSERT INTO cards SELECT i, 1 FROM range(100, 100_100) r(i)")
        )
    await run(engine, delete(Team).where(Team.id == 1))
    assert 5 == len(await ids(engine, Card))


async def test_deletions_one_by_one_are_seen_to_together(engine):
    async with engine.transaction() as session:
        connection = await session.connection()
        await connection.execute(
            delete(Team).where(Team.id == bindparam("which")),
            [{"which": 1}, {"which": 2}],
        )
    assert [] == await ids(engine, Board)


# --- around it -----------------------------------------------------------------------


async def test_tables_that_are_not_there_are_not_asked_for():
    engine = DatabaseEngine(":memory:", metadata=Model.metadata)
    async with engine, engine.transaction() as session:
        await session.execute(text("CREATE TABLE boards (id INT, team_id INT)"))
        await session.execute(text("INSERT INTO boards VALUES (1, 1)"))


async def test_a_key_to_a_table_of_another_metadata_is_left_alone():
    metadata = MetaData()
    orphans = Table(
        "orphans", metadata, Column("id", Integer), Column(
            "other_id", Integer, ForeignKey("elsewhere.id")
        ),
    )  # fmt: skip
    engine = DatabaseEngine(":memory:", metadata=metadata)
    async with engine, engine.transaction() as session:
        await session.execute(text("CREATE TABLE orphans (id INT, other_id INT)"))
        await session.execute(insert(orphans).values(id=1, other_id=7))


async def test_where_the_database_checks_the_library_does_not():
    metadata = MetaData()
    parents = Table("parents", metadata, Column("id", Integer, primary_key=True))
    children = Table("children", metadata, Column("id", ForeignKey("parents.id")))
    async with DatabaseEngine(
        ":memory:", metadata=metadata, emit_foreign_keys=True
    ) as engine:
        await engine.create_all()
        await run(engine, insert(parents).values(id=1), delete(parents))
        with pytest.raises(ConstraintError) as caught:
            await run(engine, insert(children).values(id=7))
    assert ConstraintError is type(caught.value)  # DuckDB's, not ours


async def test_tables_are_created_without_a_look_at_their_rows():
    async with DatabaseEngine(":memory:", metadata=Model.metadata) as engine:
        statements = []
        engine.on_query(lambda query: statements.append(query.statement))
        await engine.create_all()
    assert "CREATE TABLE boards" in "".join(statements)
    assert "EXISTS (" not in "".join(statements)


async def test_a_table_made_of_a_query_is_looked_at(engine):
    query = select(literal(9).label("id"), literal(99).label("team_id"))
    with pytest.raises(MissingParentError):
        statements = text("DROP TABLE boards"), query.into("boards")
        await run(engine, delete(Card), *statements)
    assert [1, 2] == await ids(engine, Board)


OWN = """
    CREATE TABLE "my notes" (
        id INTEGER, about VARCHAR, shop_id INTEGER {reference}
    )
"""


@pytest_asyncio.fixture(loop_scope="module")
async def shops():
    """
    Tables of a user, and a table of our metadata that they refer to.
    """
    metadata = MetaData()
    Table("shops", metadata, Column("id", Integer, primary_key=True))
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        await run(engine, text("INSERT INTO shops VALUES (1), (2)"))
        await run(engine, text(OWN.format(reference="REFERENCES shops (id)")))
        await run(engine, text("""INSERT INTO "my notes" VALUES (1, 'a', 2)"""))
        yield engine, metadata.tables["shops"]


async def test_a_table_of_a_user_that_refers_to_ours_is_named(shops):
    engine, table = shops
    with pytest.raises(StillReferencedError) as caught:
        await run(engine, delete(table).where(table.c.id == 2))
    error = caught.value
    assert ("my notes", "shop_id", "shops", ("2",), False) == (
        error.table, error.column, error.parent, error.keys, error.rekeyed
    )  # fmt: skip
    assert (
        "shops 2 cannot go: my notes.shop_id (constraint my notes_shop_id_id_fkey of "
        "the database) still refers to it; delete those rows first, in a transaction "
        "of their own, or drop the constraint: foreign keys of the metadata are kept "
        "without it"
    ) == str(error)
    assert isinstance(error.__cause__, duckdb.ConstraintException)


async def test_a_key_that_a_table_of_a_user_refers_to_does_not_change(shops):
    engine, _ = shops
    with pytest.raises(StillReferencedError, match="2 cannot be changed: my notes"):
        await run(engine, text("UPDATE shops SET id = 3 WHERE id = 2"))


async def test_what_refers_to_a_row_by_two_columns_is_named(shops):
    engine, _ = shops
    await run(
        engine,
        text("CREATE TABLE a (x INT, y INT, PRIMARY KEY (x, y))"),
        text("CREATE TABLE b (u INT, v INT, FOREIGN KEY (u, v) REFERENCES a (x, y))"),
        text("INSERT INTO a VALUES (1, 2)"),
    )
    await run(engine, text("INSERT INTO b VALUES (1, 2)"))
    with pytest.raises(StillReferencedError, match=r"b\.u, v \(constraint") as caught:
        await run(engine, text("DELETE FROM a"))
    assert ("u: 1, v: 2",) == caught.value.keys


async def test_what_the_transaction_has_made_itself_is_not_known(shops):
    """
    It is gone before anybody can look.
    """
    engine, table = shops
    own = OWN.format(reference="REFERENCES shops (id)").replace("shop_id", "s")
    with pytest.raises(ConstraintError) as caught:
        await run(
            engine,
            text(own.replace("my notes", "other notes")),
            text("""INSERT INTO "other notes" VALUES (1, 'a', 1)"""),
            delete(table).where(table.c.id == 1),
        )
    assert ConstraintError is type(caught.value)
