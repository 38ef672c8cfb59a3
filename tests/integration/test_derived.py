"""
Derived tables follow the table they are derived from, whoever writes it.
"""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
import pytest_asyncio
from database_support import made_anew
from sqlalchemy import (
    Column,
    Integer,
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
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine
from project_architect_db.dialect.database import Database
from project_architect_db.dialect.derived import DERIVED, InStep

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Model(DeclarativeBase):
    pass


class Note(Model):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None]
    place: Mapped[int | None] = mapped_column(unique=True)
    read: Mapped[int] = mapped_column(default=0)


class Other(Model):
    __tablename__ = "others"
    id: Mapped[int] = mapped_column(primary_key=True)


NOTES = Note.__table__
SIZES = Table(
    "note_sizes", Model.metadata, Column("note_id", Integer), Column("size", Integer)
)


class Sizes:
    """
    How long each note is; it remembers what it was asked to do.
    """

    name = "sizes"
    columns = (NOTES.c.id, NOTES.c.text)
    tables = (SIZES,)

    def __init__(self):
        self.asked = []

    def out_of_step(self, connection):
        self.asked.append("compare")
        found = connection.exec_driver_sql(
            "SELECT coalesce(id, note_id) FROM notes FULL JOIN note_sizes "
            "ON note_id = id WHERE id IS NULL OR note_id IS NULL "
            "OR size IS DISTINCT FROM length(text)"
        )
        return [key for (key,) in found]

    def update(self, connection, keys):
        self.asked.append(sorted(keys))
        options = {"writes": ["note_sizes"]}
        delete_ = "DELETE FROM note_sizes WHERE list_contains(:keys, note_id)"
        insert_ = (
            "INSERT INTO note_sizes SELECT id, length(text) FROM notes "
            "WHERE list_contains(:keys, id)"
        )
        for sql in (delete_, insert_):
            connection.execute(
                text(sql), {"keys": list(keys)}, execution_options=options
            )


DERIVED_SIZES = Sizes()
NOTES.info[DERIVED] = [DERIVED_SIZES]


async def disagreements(engine):
    async with engine.session() as session:
        return (await session.execute(text(
            "SELECT id, note_id FROM notes FULL JOIN note_sizes ON note_id = id "
            "WHERE id IS NULL OR note_id IS NULL OR size IS DISTINCT FROM length(text)"
        ))).all()  # fmt: skip


async def begin(engine):
    async with engine.transaction() as session:
        session.add_all([Note(id=n, text="x" * n, place=n) for n in range(1, 6)])
    DERIVED_SIZES.asked.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with DatabaseEngine(":memory:", metadata=Model.metadata) as engine:
        await engine.create_all()
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with five notes in it.
    """
    await begin(await made_anew(database))
    return database


@pytest_asyncio.fixture(loop_scope="module")
async def file(tmp_path):
    """
    An engine of a file of its own, with the same notes.
    """
    async with DatabaseEngine(tmp_path / "a.duckdb", metadata=Model.metadata) as engine:
        await engine.create_all()
        await begin(engine)
        yield engine


async def add_by_orm(session):
    session.add(Note(text="by orm"))
    await session.flush()
    return [1]  # the key of the sequence


async def change_by_orm(session):
    (await session.get(Note, 2)).text = "changed"
    await session.flush()
    return [2]


async def delete_by_orm(session):
    await session.delete(await session.get(Note, 3))
    await session.flush()
    return [3]


def statement(made, expected, rows=None):
    async def run(session):
        await session.execute(made, *([] if rows is None else [rows]))
        return expected

    return run


KNOWN = {
    "INSERT with its key": statement(insert(Note).values(id=10, text="a"), [10]),
    "INSERT of rows with keys": statement(
        insert(NOTES), [10, 11], [{"id": 10, "text": "a"}, {"id": 11, "text": "b"}]
    ),
    "INSERT that returns its key": statement(
        insert(NOTES).values(id=literal(5) + 5, text="a").returning(NOTES.c.id), [10]
    ),
    "INSERT that returns its key among others": statement(
        insert(NOTES).values(id=literal(5) + 5).returning(NOTES.c.text, NOTES.c.id),
        [10],
    ),
    "INSERT of rows that returns their keys": statement(
        insert(NOTES).values(id=bindparam("n") + literal(10)).returning(NOTES.c.id),
        [11, 12], [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}],
    ),
    "upsert by key": statement(
        upsert(NOTES).values(id=2, text="b")
        .on_conflict_do_update(index_elements=["id"], set_={"text": "new"}), [2],
    ),
    "upsert that changes nothing": statement(
        upsert(NOTES).values(id=20, place=2).on_conflict_do_nothing(), [20]
    ),
    "UPDATE by key": statement(
        update(Note).where(Note.id == 2, Note.read == 0).values(text="b"), [2]
    ),
    "UPDATE by keys": statement(
        update(NOTES).where(NOTES.c.read == 0, NOTES.c.id.in_([2, 3]))
        .values(text="b"), [2, 3],
    ),
    "UPDATE of rows by key": statement(
        update(NOTES).where(NOTES.c.id == bindparam("n")), [1, 2],
        [{"n": 1, "text": "a"}, {"n": 2, "text": "b"}],
    ),
    "UPDATE of rows by an expression": statement(
        update(NOTES).where(NOTES.c.id == bindparam("n"))
        .values(text=func.repeat("x", bindparam("times"))), [1, 2],
        [{"n": 1, "times": 7}, {"n": 2, "times": 8}],
    ),
    "DELETE by key": statement(delete(Note).where(Note.id == 2), [2]),
    "DELETE of rows by key": statement(
        delete(NOTES).where(NOTES.c.id == bindparam("n")), [1, 2], [{"n": 1}, {"n": 2}]
    ),
    "the ORM's INSERT": add_by_orm,
    "the ORM's UPDATE": change_by_orm,
    "the ORM's DELETE": delete_by_orm,
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
async def test_of_known_keys_only_these_rows_are_made_anew(engine, name):
    if name == "the ORM's INSERT":
        async with engine.transaction() as session:
            await session.execute(delete(NOTES).where(NOTES.c.id == 1))
        DERIVED_SIZES.asked.clear()
    async with engine.transaction() as session:
        expected = await KNOWN[name](session)
    assert [expected] == DERIVED_SIZES.asked
    assert [] == await disagreements(engine)


UNKNOWN = {
    "UPDATE by another column": update(NOTES).where(NOTES.c.place > 2)
    .values(text="b"),
    "UPDATE with OR": update(NOTES).where((NOTES.c.id == 2) | (NOTES.c.place == 3))
    .values(text="b"),
    "UPDATE of a key": update(NOTES).where(NOTES.c.id == 2).values(id=20, text="b"),
    "UPDATE by less than": update(NOTES).where(NOTES.c.id < bindparam("n", 3))
    .values(text="b"),
    "UPDATE through another table": update(NOTES).values(text="b")
    .where(NOTES.c.id == select(func.max(Note.id)).scalar_subquery()),
    "DELETE of all": delete(NOTES),
    "INSERT from SELECT": insert(NOTES).from_select(
        ["id", "text"], select(NOTES.c.id + 10, NOTES.c.text)),
    "INSERT of several VALUES": insert(NOTES).values([{"id": 10}, {"id": 11}]),
    "INSERT without its key": insert(NOTES).inline().values(
        id=func.nextval("notes_id_seq") + 20, text="a"),
    "upsert by another column": upsert(NOTES).values(id=20, place=2, text="new")
    .on_conflict_do_update(index_elements=["place"], set_={"text": "new"}),
    "SQL that is text": text("UPDATE notes SET text = 'text'"),
    "TRUNCATE": text("TRUNCATE notes"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
async def test_of_unknown_rows_all_are_compared(engine, name):
    async with engine.transaction() as session:
        await session.execute(UNKNOWN[name])
    assert "compare" == DERIVED_SIZES.asked[0]
    assert [] == await disagreements(engine)


async def test_an_insert_whose_rows_stay_in_the_database_is_compared(engine):
    async with engine.transaction() as session:
        made = insert(NOTES).values(id=literal(5) + 5).returning(NOTES.c.id)
        result = await session.stream(made)
        assert [(10,)] == (await result.all())
    assert "compare" == DERIVED_SIZES.asked[0]
    assert [] == await disagreements(engine)


@pytest.mark.parametrize(
    "made",
    [
        update(NOTES).where(NOTES.c.id == 2).values(read=1),
        update(NOTES).where(NOTES.c.id == 99).values(text="b"),
        delete(NOTES).where(NOTES.c.id == 99),
        insert(Other).values(id=1),
        select(NOTES),
    ],
)
async def test_what_changes_nothing_costs_nothing(engine, made):
    async with engine.transaction() as session:
        await session.execute(made)
    assert [] == DERIVED_SIZES.asked


async def test_too_many_keys_are_a_comparison(engine, monkeypatch):
    monkeypatch.setattr("project_architect_db.dialect.derived.MANY", 3)
    async with engine.transaction() as session:
        await session.execute(delete(NOTES).where(NOTES.c.id.in_([1, 2, 3, 4])))
        await session.execute(delete(NOTES).where(NOTES.c.id == 5))
    assert ["compare", [1, 2, 3, 4, 5]] == DERIVED_SIZES.asked


async def test_a_rollback_forgets_what_was_written(engine):
    async with engine.session() as session:
        await session.execute(update(NOTES).values(text="lost"))
        await session.rollback()
        await session.execute(update(NOTES).where(NOTES.c.id == 2).values(text="b"))
        await session.commit()
    assert [[2]] == DERIVED_SIZES.asked
    assert [] == await disagreements(engine)


async def test_an_error_in_between_commits_nothing(engine, monkeypatch):
    def fail(connection, keys):
        raise ValueError(keys)

    monkeypatch.setattr(DERIVED_SIZES, "update", fail)
    with pytest.raises(ValueError, match="2"):
        async with engine.transaction() as session:
            await session.execute(update(NOTES).where(NOTES.c.id == 2).values(text="b"))
    monkeypatch.undo()
    assert [] == await disagreements(engine)
    async with engine.session() as session:
        assert "xx" == await session.scalar(select(NOTES.c.text).where(NOTES.c.id == 2))


async def autocommit(engine, sql):
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(sql)


@pytest.mark.parametrize(
    "made",
    [text("DELETE FROM notes WHERE id = 3"), delete(NOTES).where(NOTES.c.id == 3)],
)
async def test_the_next_writer_repairs_what_autocommit_left(engine, made):
    await autocommit(engine, made)
    assert [(None, 3)] == await disagreements(engine)
    async with engine.transaction() as session:
        await session.execute(update(NOTES).where(NOTES.c.id == 2).values(text="b"))
    assert ["compare", [2, 3]] == DERIVED_SIZES.asked
    assert [] == await disagreements(engine)


async def test_autocommit_of_other_tables_breaks_nothing(engine):
    await autocommit(engine, insert(Other).values(id=1))
    async with engine.transaction() as session:
        await session.execute(update(NOTES).where(NOTES.c.id == 2).values(text="b"))
    assert [[2]] == DERIVED_SIZES.asked


async def test_nothing_is_known_of_a_file_that_was_just_opened(file, tmp_path):
    await file.close()
    async with DatabaseEngine(tmp_path / "a.duckdb", metadata=Model.metadata) as again:
        async with again.transaction() as session:
            session.add(Note(id=50, text="a"))
        assert ["compare", [50]] == DERIVED_SIZES.asked


async def test_all_engines_of_a_file_know_the_same(file, tmp_path):
    async with DatabaseEngine(tmp_path / "a.duckdb", metadata=Model.metadata) as other:
        async with other.transaction() as session:
            session.add(Note(id=50, text="a"))
        assert [[50]] == DERIVED_SIZES.asked


async def test_without_metadata_text_is_repaired_by_the_next_writer(tmp_path):
    url = f"duckdb+async:///{tmp_path / 'plain.duckdb'}"
    plain = create_async_engine(url)
    async with plain.begin() as connection:
        await connection.run_sync(Model.metadata.create_all)
        await connection.execute(
            text("INSERT INTO notes (id, text, read) VALUES (1, 'a', 0)")
        )
    DERIVED_SIZES.asked.clear()
    async with plain.begin() as connection:
        await connection.execute(insert(NOTES).values(id=2, text="b"))
    assert ["compare", [1, 2]] == DERIVED_SIZES.asked
    await plain.dispose()


async def test_a_database_without_the_derived_tables_is_written_as_ever(tmp_path):
    async with DatabaseEngine(tmp_path / "b.duckdb", metadata=Model.metadata) as engine:
        async with engine.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(NOTES.create)
            session.add(Note(text="a"))
        DERIVED_SIZES.asked.clear()
        async with engine.transaction() as session:
            session.add(Note(text="a"))
        assert [] == DERIVED_SIZES.asked
        await engine.create_all()  # makes them, and fills them
        assert ["compare", [1, 2]] == DERIVED_SIZES.asked
        assert [] == await disagreements(engine)
        await engine.drop_all()


async def test_nothing_to_commit_is_nothing_to_do(engine):
    async with engine.engine.begin():
        pass
    assert [] == DERIVED_SIZES.asked


async def test_a_writer_that_only_compared_is_remembered(engine):
    await autocommit(engine, text("DELETE FROM others"))
    async with engine.transaction() as session:
        connection = await session.connection()
        driver = (await connection.get_raw_connection()).driver_connection
        await session.execute(select(NOTES))
        await connection.run_sync(
            lambda sync: driver.changes.bring_in_step(driver, sync, [DERIVED_SIZES])
        )
    assert ["compare"] == DERIVED_SIZES.asked
    commits = driver.database.commits.sequence
    assert driver.database.in_step.is_since(DERIVED_SIZES, commits)


class Committing:
    """
    The two sides of a commit log.
    """

    def __init__(self):
        self.database = Database(":memory:")
        self.in_step, self.commits = InStep(), self.database.commits

    def commit(self, tables, *, kept=False):
        names = {"sizes": frozenset({"notes", "note_sizes"})} if kept else {}
        self.in_step.before_commit(tables, names)
        sequence = self.commits.append(tables)
        self.in_step.after_commit(sequence, names)
        self.in_step.end_commit()

    def compared(self, snapshot):
        self.in_step.compared(DERIVED_SIZES, self.commits, snapshot)

    def since(self):
        return next(
            (n for n in range(9) if self.in_step.is_since(DERIVED_SIZES, n)), None
        )


async def test_in_step_lasts_until_a_commit_breaks_it():
    log = Committing()
    assert log.since() is None
    log.commit(frozenset({"notes"}), kept=True)
    log.commit(frozenset({"notes"}), kept=True)
    log.commit(frozenset({"others"}))
    assert 1 == log.since()
    log.commit(frozenset({"note_sizes"}))
    assert log.since() is None
    log.commit(frozenset({"notes"}), kept=True)
    assert 5 == log.since()
    log.commit(None)
    assert log.since() is None


async def test_what_a_reader_found_holds_if_nothing_broke_it_meanwhile():
    log = Committing()
    log.commit(frozenset({"notes"}))
    log.compared(0)
    assert log.since() is None
    log.commit(frozenset({"others"}))
    log.compared(1)
    assert 2 == log.since()


async def test_a_commit_that_can_be_seen_already_may_have_broken_it():
    log = Committing()
    log.in_step.before_commit(frozenset({"notes"}), {})
    log.compared(0)
    assert log.since() is None


async def test_readers_beside_a_writer_are_never_told_too_much(engine):
    """
    Whatever the moment: if it is said to be in step, it is.
    """
    counter, running = count(100), True

    async def write():
        nonlocal running
        for n in range(30):
            if n % 3:
                async with engine.transaction() as session:
                    session.add(Note(id=next(counter), text="a"))
            else:
                await autocommit(
                    engine, insert(Note).values(id=next(counter), text="b")
                )
        running = False

    async def read():
        looks = 0
        while running:
            async with engine.session() as session:
                connection = await session.connection()
                driver = (await connection.get_raw_connection()).driver_connection
                commit = driver.snapshot
                missing = await session.scalar(text(
                    "SELECT count(*) FROM notes ANTI JOIN note_sizes ON note_id = id"
                ))  # fmt: skip
                if driver.database.in_step.is_since(DERIVED_SIZES, commit):
                    looks += 1
                    assert 0 == missing
                await session.rollback()
        return looks

    _, *looks = await asyncio.gather(write(), read(), read())
    assert sum(looks) > 0
