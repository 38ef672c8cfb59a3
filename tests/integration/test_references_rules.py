"""
Whose children a statement touches, what relationships say, and which keys may change.
"""

from __future__ import annotations

import enum
import subprocess
import sys
import time
from datetime import UTC, datetime
from textwrap import dedent
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from project_architect_db import BaseRepository, DatabaseEngine
from project_architect_db.errors import (
    ForeignKeyError,
    MissingParentError,
    StillReferencedError,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(DeclarativeBase):
    pass


class Shop(Model):
    """
    Known by its code, too, which may change.
    """

    __tablename__ = "shops"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    deleted_at: Mapped[datetime | None] = mapped_column(info={"softly_deleted": True})


class Offer(Model):
    """
    Goes with its shop.
    """

    __tablename__ = "offers"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_code: Mapped[str | None] = mapped_column(
        ForeignKey("shops.code", ondelete="CASCADE")
    )
    note: Mapped[str | None]


class Clerk(Model):
    """
    Keeps its shop.
    """

    __tablename__ = "clerks"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    note: Mapped[str | None]


class Node(Model):
    __tablename__ = "nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    children: Mapped[list[Node]] = relationship(cascade="all, delete")


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
        shops = [{"id": i, "code": code} for i, code in enumerate("abcd", 1)]
        await session.execute(insert(Shop), shops)
        await session.execute(insert(Offer), [{"id": 1, "shop_code": "a"}])
        await session.execute(insert(Clerk), [{"id": 1, "shop_id": 2}])
    return database


async def run(engine, *statements):
    async with engine.transaction() as session:
        for statement in statements:
            await session.execute(statement)


async def rows(engine, *columns):
    async with engine.session() as session:
        found = await session.execute(select(*columns).order_by(*columns))
        return [tuple(row) for row in found]


async def import_past_us(engine, sql):
    """
    Write what no check sees, as another program would.
    """
    async with engine.session() as session:
        connection = await session.connection(
            execution_options={"isolation_level": "AUTOCOMMIT"}
        )
        await connection.execute(text(sql))


# --- whose children ----------------------------------------------------------------


async def test_a_child_whose_parent_is_still_to_come_is_left_alone(engine):
    await run(
        engine,
        text("INSERT INTO offers (id, shop_code) VALUES (9, 'z')"),
        delete(Shop).where(Shop.id == 1),
        text("INSERT INTO shops (id, code) VALUES (9, 'z')"),
    )
    assert [(9, "z")] == await rows(engine, Offer.id, Offer.shop_code)


@pytest.mark.parametrize(
    "deletion",
    [delete(Shop).where(Shop.id == 3), text("DELETE FROM shops WHERE id = 3")],
)
async def test_orphans_of_others_are_left_alone_and_keep_nobody(engine, deletion):
    await import_past_us(
        engine,
        "INSERT INTO offers (id, shop_code) VALUES (7, 'lost');"
        "INSERT INTO clerks (id, shop_id) VALUES (7, 77)",
    )
    await run(engine, deletion)
    assert [(1, "a"), (7, "lost")] == await rows(engine, Offer.id, Offer.shop_code)
    assert [(1, 2), (7, 77)] == await rows(engine, Clerk.id, Clerk.shop_id)


@pytest.mark.parametrize(
    "statement",
    [
        update(Clerk).where(Clerk.id == 1).values(shop_id=Clerk.shop_id + 1),
        text("UPDATE clerks SET note = 'x'"),
        text("DELETE FROM clerks WHERE id = 1"),
    ],
)
async def test_old_orphans_do_not_disturb_what_others_write(engine, statement):
    await import_past_us(engine, "INSERT INTO clerks (id, shop_id) VALUES (7, 77)")
    await run(engine, statement)
    assert (7, 77) in await rows(engine, Clerk.id, Clerk.shop_id)


@pytest.mark.parametrize(
    "deletion",
    [
        delete(Shop).where(Shop.code == "a"),
        delete(Shop).where(Shop.code.in_(["a", "d"])),
        delete(Shop.__table__).where(Shop.id == Offer.id),
        delete(Shop)
        .where(Shop.id == 1)
        .returning(Shop.name, literal_column("' RETURNING '")),
        delete(Shop).where(Shop.name.is_(None), Shop.id < 2).prefix_with("/* x */"),
    ],
)
async def test_children_of_what_a_delete_finds_go(engine, deletion):
    await import_past_us(engine, "INSERT INTO offers (id, shop_code) VALUES (7, 'l')")
    await run(engine, deletion)
    assert 1 not in [id for (id,) in await rows(engine, Shop.id)]
    assert [(7,)] == await rows(engine, Offer.id)


async def test_many_deletes_by_other_columns_find_their_children(engine):
    which = delete(Shop).where(Shop.name == bindparam("name_"))
    await run(engine, update(Shop).values(name=Shop.code))
    async with engine.transaction() as session:
        connection = await session.connection()
        await connection.execute(which, [{"name_": "a"}, {"name_": "c"}])
    assert [("b",), ("d",)] == await rows(engine, Shop.code)
    assert [] == await rows(engine, Offer.id)
    async with engine.transaction() as session:  # the same key twice: one by one
        connection = await session.connection()
        result = await connection.execute(which, [{"name_": "d"}, {"name_": "d"}])
        assert 1 == result.rowcount


async def test_in_autocommit_only_children_of_what_was_deleted_go(engine):
    await import_past_us(engine, "INSERT INTO offers (id, shop_code) VALUES (7, 'l')")
    async with engine.session() as session:
        connection = await session.connection(
            execution_options={"isolation_level": "AUTOCOMMIT"}
        )
        await connection.execute(delete(Shop).where(Shop.id == 1))
    assert [(7,)] == await rows(engine, Offer.id)


async def test_a_delete_that_begins_a_session_is_no_stale_write(engine):
    async with engine.session() as session:
        async with engine.transaction() as other:
            await other.execute(update(Shop).values(name="x"))
        await session.execute(delete(Shop).where(Shop.id == 3))
        await session.commit()
    assert 3 == len(await rows(engine, Shop.id))


async def test_a_key_that_another_row_has_as_well_is_not_gone():
    metadata = MetaData()
    parents = Table("parents", metadata, Column("id", Integer), Column("code", String))
    children = Table(
        "children", metadata,
        Column("code", ForeignKey("parents.code", ondelete="CASCADE")),
    )  # fmt: skip
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        await run(
            engine,
            insert(parents).values([{"id": n, "code": "x"} for n in (1, 2)]),
            insert(children).values(code="x"),
            delete(parents).where(parents.c.id == 1),
        )
        assert [("x",)] == await rows(engine, children.c.code)
        await run(engine, delete(parents))
        assert [] == await rows(engine, children.c.code)
        with pytest.raises(MissingParentError):
            await run(engine, text("INSERT INTO children VALUES ('y')"))


async def test_a_unique_index_is_as_good_as_a_key():
    metadata = MetaData()
    parents = Table("p", metadata, Column("code", String, unique=True, index=True))
    children = Table("c", metadata, Column("code", ForeignKey("p.code")))
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        await run(engine, insert(parents).values(code="x"), delete(parents))
        await run(engine, insert(parents).values([{"code": "x"}, {"code": None}]))
        await run(engine, insert(children).values(code="x"))
        with pytest.raises(StillReferencedError):
            await run(engine, delete(parents))


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


async def test_keys_of_any_type():
    metadata = MetaData()
    columns = {"colour": EnumType(Colour), "number": Integer}.items()
    names = ["colour", "number"]
    parents = Table(
        "parents", metadata, *(Column(n, t, primary_key=True) for n, t in columns)
    )  # fmt: skip
    children = Table(
        "children", metadata, *(Column(n, t) for n, t in columns),
        ForeignKeyConstraint(
            names, [f"parents.{name}" for name in names], ondelete="CASCADE"
        ),
    )  # fmt: skip
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        keys = [{"colour": c, "number": n} for c in Colour for n in (1, 2)]
        await run(engine, insert(parents).values(keys), insert(children).values(keys))
        await run(engine, delete(parents).where(parents.c.colour == Colour.RED))
        assert [(Colour.BLUE, 1), (Colour.BLUE, 2)] == await rows(engine, *children.c)
        await run(engine, text("DELETE FROM parents WHERE number = 1"))
        assert [(Colour.BLUE, 2)] == await rows(engine, *children.c)
        with pytest.raises(MissingParentError) as caught:
            await run(engine, insert(children).values(keys[0]))
        assert ((Colour.RED, 1),) == caught.value.keys


async def test_children_follow_before_it_is_asked_who_has_to_stay():
    metadata = MetaData()
    key = Column("id", Integer, primary_key=True)
    a = Table("a", metadata, key)
    Table("b", metadata, Column("id", Integer, primary_key=True),
          Column("a_id", ForeignKey("a.id", ondelete="CASCADE")))  # fmt: skip
    Table("c", metadata, Column("a_id", ForeignKey("a.id", ondelete="CASCADE")),
          Column("b_id", ForeignKey("b.id")))  # fmt: skip
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        await run(engine, text("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1);"
                               "INSERT INTO c VALUES (1, 1)"))  # fmt: skip
        await run(engine, delete(a))
        assert [] == await rows(engine, metadata.tables["c"].c.a_id)


async def chain(engine, length):
    nodes = [{"id": n, "parent_id": n - 1 or None} for n in range(1, length + 1)]
    async with engine.transaction() as session:
        await session.execute(insert(Node), nodes)


@pytest.mark.parametrize("road", ["text", "Core", "a repository"])
async def test_a_chain_of_two_thousand_goes_link_by_link(engine, road):
    await chain(engine, 2_000)
    async with engine.transaction() as session:
        if road == "text":
            await session.execute(text("DELETE FROM nodes WHERE id = 1"))
        elif road == "Core":
            await session.execute(delete(Node).where(Node.id == 1))
        else:
            assert await BaseRepository[Node](session).delete(1)
    assert [] == await rows(engine, Node.id)


async def test_ten_thousand_parents_go_by_their_keys_in_one_statement(engine):
    shops = [{"id": n, "code": f"code {n}"} for n in range(10, 10_010)]
    offers = [{"id": row["id"], "shop_code": row["code"]} for row in shops]
    async with engine.transaction() as session:
        await session.execute(insert(Shop), shops)
        await session.execute(insert(Offer), offers)
    started = time.perf_counter()
    async with engine.transaction() as session:
        connection = await session.connection()
        await connection.execute(
            delete(Shop).where(Shop.id == bindparam("which")),
            [{"which": row["id"]} for row in shops],
        )
    assert [(1, "a")] == await rows(engine, Offer.id, Offer.shop_code)
    assert time.perf_counter() - started < 5


# --- keys that change --------------------------------------------------------------

rename = (made := upsert(Shop).values(id=1, code="E")).on_conflict_do_update(
    index_elements=["id"], set_={"code": made.excluded.code}
)
RENAMES = {
    "text": text("UPDATE shops SET name = 'it''s; where', code = 'E' WHERE id = 1"),
    "text with names in quotes": text("""UPDATE "shops" SET "code" = 'E'"""
                                      " WHERE id IN (SELECT 1 WHERE true)"),
    "text that deletes as well": text("UPDATE shops SET code = 'E' WHERE id = 1;"
                                      "DELETE FROM shops WHERE code = 'd'"),
    "Core": update(Shop).where(Shop.id == 1).values(code="E"),
    "an upsert": rename,
}  # fmt: skip


@pytest.mark.parametrize("statement", RENAMES.values(), ids=RENAMES)
async def test_a_key_that_children_have_does_not_change(engine, statement):
    with pytest.raises(StillReferencedError) as caught:
        await run(engine, statement)
    assert (
        "shops 'a' cannot be given another key: offers.shop_code still refers to it; "
        "correct those rows in the same transaction"
    ) == str(caught.value)
    assert caught.value.rekeyed
    assert [("a",)] == await rows(engine, Offer.shop_code)
    assert ("a",) in await rows(engine, Shop.code)


@pytest.mark.parametrize("method", ["update", "bulk_update", "bulk_upsert"])
async def test_nor_does_it_by_a_repository(engine, method):
    with pytest.raises(StillReferencedError, match="'a' cannot be given another key"):
        async with engine.transaction() as session:
            shops = BaseRepository[Shop](session)
            if method == "update":
                await shops.update(1, {"code": "E"})
            else:
                await getattr(shops, method)([{"id": 1, "code": "E"}])
    assert [("a",)] == await rows(engine, Offer.shop_code)


@pytest.mark.parametrize("road", ["text", "Core"])
async def test_nor_by_a_replacement(road):
    metadata = MetaData()
    parents = Table(
        "parents", metadata, Column("id", Integer, primary_key=True),
        Column("code", String),
    )  # fmt: skip
    children = Table("children", metadata, Column("code", ForeignKey("parents.code")))
    replacement = {
        "text": text("INSERT OR REPLACE INTO parents VALUES (1, 'E')"),
        "Core": insert(parents).prefix_with("OR REPLACE").values(id=1, code="E"),
    }[road]
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        await engine.create_all()
        await run(engine, insert(parents).values(id=1, code="a"))
        await run(engine, insert(children).values(code="a"))
        with pytest.raises(StillReferencedError, match="another key"):
            await run(engine, replacement)


async def test_a_key_may_change_with_its_children(engine):
    await run(
        engine,
        text("UPDATE shops SET code = 'E' WHERE id = 1"),
        text("UPDATE offers SET shop_code = 'E'"),
    )
    assert [("E",)] == await rows(engine, Offer.shop_code)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE shops SET name = code; DELETE FROM shops WHERE code = 'a'",
        "UPDATE offers SET shop_code = 'a'; DELETE FROM shops WHERE id = 1",
        "MERGE INTO shops USING (SELECT 1 AS i) ON id = i WHEN MATCHED THEN DELETE",
    ],
)
async def test_text_that_deletes_is_not_taken_for_one_that_renames(engine, sql):
    await run(engine, *map(text, sql.split(";")))
    assert [] == await rows(engine, Offer.id)


async def test_what_only_vanished_takes_no_children_along(engine):
    with pytest.raises(StillReferencedError, match="shops 'a' cannot go"):
        await run(
            engine, text("CREATE OR REPLACE TABLE shops AS FROM shops WHERE id > 1")
        )
    assert [("a",)] == await rows(engine, Offer.shop_code)


async def test_a_new_child_of_what_was_deleted_misses_its_parent(engine):
    with pytest.raises(MissingParentError, match="'a', which does not exist"):
        await run(
            engine,
            delete(Shop).where(Shop.id == 1),
            insert(Offer).values(id=9, shop_code="a"),
            text("UPDATE shops SET name = 'x'"),
        )


async def test_what_is_gone_again_at_the_end_misses_nothing(engine):
    await run(
        engine,
        insert(Offer).values(id=9, shop_code="z"),
        delete(Offer).where(Offer.id == 9),
    )


async def test_both_errors_are_of_foreign_keys_and_name_ten_keys_at_most(engine):
    with pytest.raises(ForeignKeyError) as caught:
        await run(
            engine,
            insert(Clerk).values([{"id": n, "shop_id": n} for n in range(10, 40)]),
        )
    assert (
        "clerks.shop_id refers to shops 10, 11, 12, …, which does not exist; "
        "create the parent first, or correct the key"
    ) == str(caught.value)
    assert tuple(range(10, 20)) == caught.value.keys


# --- parents that were deleted softly ----------------------------------------------

NOW = datetime.now(UTC).replace(tzinfo=None)
HIDE = update(Shop).where(Shop.id == 2).values(deleted_at=NOW)
NEW_CHILDREN = {
    "values": insert(Clerk).values(id=9, shop_id=2),
    "many values": insert(Clerk).values([{"id": 9, "shop_id": 2}]),
    "an expression": insert(Clerk).values(id=9, shop_id=literal(1) + 1),
    "a parameter": insert(Clerk).values(id=9, shop_id=bindparam("x", 2)),
    "a select": insert(Clerk).from_select(
        ["id", "shop_id"], select(literal(9), literal(2))
    ),
    "text": text("INSERT INTO clerks (id, shop_id) VALUES (9, 2)"),
    "an update": update(Clerk).where(Clerk.id == 2).values(shop_id=2),
    "an update by an expression": update(Clerk)
    .where(Clerk.id == 2)
    .values(shop_id=Clerk.shop_id - 1),
    "text that updates": text("UPDATE clerks SET shop_id = 2 WHERE id = 2"),
}


@pytest.mark.parametrize("statement", NEW_CHILDREN.values(), ids=NEW_CHILDREN)
async def test_a_softly_deleted_parent_gets_no_children_on_any_road(engine, statement):
    await run(engine, insert(Clerk).values(id=2, shop_id=3), HIDE)
    with pytest.raises(MissingParentError) as caught:
        await run(engine, statement)
    assert (
        "clerks.shop_id refers to shops 2, which was softly deleted; restore the "
        "parent first, or choose another one"
    ) == str(caught.value)
    assert caught.value.softly_deleted
    assert [(1, 2), (2, 3)] == await rows(engine, Clerk.id, Clerk.shop_id)


@pytest.mark.parametrize("method", ["bulk_create", "bulk_update", "bulk_upsert"])
async def test_nor_by_a_repository(engine, method):
    await run(engine, insert(Clerk).values(id=2, shop_id=3), HIDE)
    with pytest.raises(MissingParentError, match="softly deleted"):
        async with engine.transaction() as session:
            clerks = BaseRepository[Clerk](session)
            id = 9 if method == "bulk_create" else 2
            await getattr(clerks, method)([{"id": id, "shop_id": 2}])


@pytest.mark.parametrize(
    "statement",
    [
        update(Clerk).values(note="x"),
        update(Clerk).values(note="x", shop_id=2),
        update(Clerk).values(note="x", shop_id=Clerk.shop_id),
        text("UPDATE clerks SET note = 'x'"),
    ],
)
async def test_the_children_it_has_stay_and_may_change(engine, statement):
    await run(engine, HIDE)
    await run(engine, statement)
    assert [(1, 2, "x")] == await rows(engine, Clerk.id, Clerk.shop_id, Clerk.note)
    async with engine.transaction() as session:
        clerks = BaseRepository[Clerk](session)
        await clerks.bulk_update([{"id": 1, "shop_id": 2, "note": "y"}])
        await clerks.bulk_upsert([{"id": 1, "shop_id": 2, "note": "z"}])
    await run(engine, text("DELETE FROM clerks"))


async def test_a_transaction_may_delete_softly_what_it_gave_a_child(engine):
    await run(engine, insert(Clerk).values(id=9, shop_id=2), HIDE)
    await run(
        engine,
        insert(Shop).values(id=9, code="n"),
        insert(Clerk).values(id=10, shop_id=9),
        update(Shop).where(Shop.id == 9).values(deleted_at=NOW),
    )
    assert [(1,), (9,), (10,)] == await rows(engine, Clerk.id)


async def test_many_children_of_a_softly_deleted_parent_cost_text_nothing(engine):
    clerks = "SELECT i, 2, NULL FROM range(100, 100_100) r(i)"
    await run(engine, text(f"INSERT INTO clerks {clerks}"), HIDE)
    statements = []
    engine.on_query(statements.append)
    await run(engine, text("UPDATE shops SET name = 'x' WHERE id = 3"))
    assert 10 > max(query.rows or 0 for query in statements)


async def test_a_table_that_is_new_has_only_new_rows():
    metadata = MetaData()
    Table("parents", metadata, Column("id", Integer, primary_key=True))
    Table("children", metadata, Column("parent_id", ForeignKey("parents.id")))
    async with DatabaseEngine(":memory:", metadata=metadata) as engine:
        with pytest.raises(MissingParentError):
            await run(
                engine,
                text("CREATE TABLE parents (id INT)"),
                text("CREATE TABLE children AS SELECT 7 AS parent_id"),
            )


# --- what relationships say --------------------------------------------------------


class Kinds(DeclarativeBase):
    pass


post_tags = Table(
    "post_tags", Kinds.metadata,
    Column("post_id", ForeignKey("posts.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
    Column("seen_id", ForeignKey("posts.id")),
)  # fmt: skip


class Tenant(Kinds):
    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)


class Post(Kinds):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    tags: Mapped[list[Tag]] = relationship(
        secondary=post_tags, primaryjoin="Post.id == post_tags.c.post_id"
    )
    notes: Mapped[list[Note]] = relationship(back_populates="post")
    views: Mapped[list[View]] = relationship(viewonly=True)
    likes: Mapped[list[Like]] = relationship(passive_deletes=True)
    drafts: Mapped[list[Draft]] = relationship(
        primaryjoin="and_(Post.id == Draft.post_id, Draft.kind == 1)",
        cascade="all, delete",
    )


class Tag(Kinds):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)


class Note(Kinds):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))
    post: Mapped[Post | None] = relationship(back_populates="notes")


class View(Kinds):
    __tablename__ = "views"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))


class Like(Kinds):
    __tablename__ = "likes"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))


class Draft(Kinds):
    __tablename__ = "drafts"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[int]
    post_id: Mapped[int | None] = mapped_column(ForeignKey("posts.id"))


class Employee(Kinds):
    __tablename__ = "employees"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("engineers.id"))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "employee"}


class Engineer(Employee):
    __tablename__ = "engineers"
    id: Mapped[int] = mapped_column(ForeignKey("employees.id"), primary_key=True)
    language: Mapped[str]
    __mapper_args__ = {
        "polymorphic_identity": "engineer",
        "inherit_condition": id == Employee.id,
    }


class Folder(Kinds):
    """
    Files belong to a folder of their tenant, and go with it.
    """

    __tablename__ = "folders"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    files: Mapped[list[File]] = relationship(cascade="all, delete-orphan")


class File(Kinds):
    __tablename__ = "files"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    folder_id: Mapped[int]
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "folder_id"], ["folders.tenant_id", "folders.id"]
        ),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kinds_database():
    async with DatabaseEngine(":memory:", metadata=Kinds.metadata) as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def kinds(kinds_database):
    """
    As `engine`; tables that refer to each other cannot be dropped by `drop_all()`.
    """
    names = Kinds.metadata.tables
    await run(kinds_database, *(text(f"DROP TABLE IF EXISTS {n}") for n in names))
    await kinds_database.create_all()
    async with kinds_database.transaction() as session:
        session.add_all([Tenant(id=n) for n in (1, 2)])
        session.add_all([Post(id=n) for n in (1, 2)])
        await session.flush()
    return kinds_database


async def deleted_by(engine, how, model, key):
    async with engine.transaction() as session:
        if how == "a session":
            await session.delete(await session.get_one(model, key))
        elif how == "Core":
            await session.execute(delete(model.__table__).where(model.id == key))
        elif how == "text":
            table = model.__tablename__
            await session.execute(text(f"DELETE FROM {table} WHERE id = {key}"))
        else:
            assert await getattr(BaseRepository[model](session), how)(
                [key] if how == "bulk_delete" else key
            )


ROADS = ["a session", "delete", "bulk_delete", "Core", "text"]


@pytest.mark.parametrize("how", ROADS)
async def test_a_cascade_is_of_its_whole_key(kinds, how):
    async with kinds.transaction() as session:
        session.add_all([Folder(tenant_id=1, id=1), Folder(tenant_id=2, id=1)])
        await session.flush()
        session.add_all([File(id=n, tenant_id=n, folder_id=1) for n in (1, 2)])
    with pytest.raises(StillReferencedError):
        await deleted_by(kinds, how, Tenant, 1)
    assert [(1,), (2,)] == await rows(kinds, File.id)
    await run(kinds, delete(Folder).where(Folder.tenant_id == 1))
    assert [(2,)] == await rows(kinds, File.id)


@pytest.mark.parametrize("how", ROADS)
async def test_rows_of_a_secondary_table_go_with_whom_they_belong_to(kinds, how):
    async with kinds.transaction() as session:
        post = await session.get_one(Post, 1, options=[])
        session.add(Tag(id=1))
        await session.flush()
        await session.execute(insert(post_tags).values(post_id=post.id, tag_id=1))
    await deleted_by(kinds, how, Post, 1)
    assert [] == await rows(kinds, post_tags.c.tag_id)
    assert [(1,)] == await rows(kinds, Tag.id)


async def test_but_not_with_whom_no_relationship_names(kinds):
    await run(
        kinds,
        insert(Tag).values(id=1),
        insert(post_tags).values(post_id=1, tag_id=1, seen_id=2),
    )
    for model, key in ((Tag, 1), (Post, 2)):
        with pytest.raises(StillReferencedError, match="post_tags"):
            await deleted_by(kinds, "Core", model, key)


@pytest.mark.parametrize("how", ROADS)
async def test_a_plain_relationship_lets_go(kinds, how):
    await run(kinds, insert(Note).values(id=1, post_id=1))
    await deleted_by(kinds, how, Post, 1)
    assert [(1, None)] == await rows(kinds, Note.id, Note.post_id)


@pytest.mark.parametrize("model", [View, Like, Draft])
async def test_what_a_relationship_leaves_to_the_database_stays(kinds, model):
    more = {"kind": 2} if model is Draft else {}
    await run(kinds, insert(model).values(id=1, post_id=1, **more))
    for how in ROADS:
        with pytest.raises(StillReferencedError, match=model.__tablename__):
            await deleted_by(kinds, how, Post, 1)


@pytest.mark.parametrize("how", ROADS)
@pytest.mark.parametrize("model", [Employee, Engineer])
async def test_a_record_in_two_tables_goes_from_both(kinds, how, model):
    async with kinds.transaction() as session:
        session.add_all([Engineer(id=1, language="en"), Employee(id=2)])
    if model is Engineer and how in ("Core", "text"):
        await run(kinds, insert(Employee).values(id=3, kind="employee", boss_id=1))
        with pytest.raises(StillReferencedError, match=r"employees\.boss_id"):
            await deleted_by(kinds, how, model, 1)
        return
    await deleted_by(kinds, how, model, 1)
    assert [(2,)] == await rows(kinds, Employee.__table__.c.id)
    assert [] == await rows(kinds, Engineer.__table__.c.id)


def in_a_process_of_its_own(program):
    """
    A program in which no mapper has been configured.
    """
    source = dedent("""
        import asyncio
        from sqlalchemy import ForeignKey, delete, insert, text
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
        from project_architect_db import DatabaseEngine, StillReferencedError

        class Base(DeclarativeBase): pass

        class Parent(Base):
            __tablename__ = "parents"
            id: Mapped[int] = mapped_column(primary_key=True)
            children: Mapped[list["Child"]] = relationship(cascade="all, delete")

        class Child(Base):
            __tablename__ = "children"
            id: Mapped[int] = mapped_column(primary_key=True)
            parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))

        parents, children = Parent.__table__, Child.__table__

        async def main(deletion):
            async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
                await engine.create_all()
                async with engine.transaction() as session:
                    await session.execute(insert(parents).values(id=1))
                    await session.execute(insert(children).values(id=1, parent_id=1))
                async with engine.transaction() as session:
                    await session.execute(deletion)
                async with engine.session() as session:
                    found = await session.execute(text("SELECT id FROM children"))
                    print(found.all())
    """)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source + dedent(program)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "" == done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "deletion",
    [
        pytest.param("delete(parents)", marks=pytest.mark.slow),
        "text('DELETE FROM parents')",
    ],
)
async def test_relationships_are_known_before_any_object_is(deletion):
    assert "[]" == in_a_process_of_its_own(f"asyncio.run(main({deletion}))")


async def test_mappings_that_are_wrong_are_named_where_they_matter():
    output = in_a_process_of_its_own("""
        class Broken(Base):
            __tablename__ = "broken"
            id: Mapped[int] = mapped_column(primary_key=True)
            nothing: Mapped[list["Nothing"]] = relationship()

        try:
            asyncio.run(main(delete(parents)))
        except StillReferencedError as error:
            print(error, error.__cause__)
        asyncio.run(main(text("DELETE FROM parents WHERE id = 2")))
    """)
    assert "children.parent_id still refers to it" in output
    assert "'Nothing'" in output
    assert output.endswith("[(1,)]")


async def test_an_id_of_a_type_without_order_can_be_named():
    error = MissingParentError(table="a", column="b", parent="c", keys=[UUID(int=1)])
    assert "c UUID('00000000-0000-0000-0000-000000000001')" in str(error)
