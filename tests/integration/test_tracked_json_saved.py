"""
What is changed inside of a JSON value is saved, by any session.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import (
    JSON,
    ForeignKey,
    MetaData,
    TypeDecorator,
    event,
    inspect,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Mapped, defer, mapped_column

from project_architect_db import Base, DatabaseEngine

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Packed(TypeDecorator):
    impl = JSON
    cache_ok = True


class Model(Base):
    __abstract__ = True
    metadata = MetaData()


class Note(Model):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]
    data: Mapped[dict[str, Any] | None]
    tags: Mapped[list[str]] = mapped_column(default=list)
    rows: Mapped[list[dict[str, Any]] | None]
    packed: Mapped[Any] = mapped_column(Packed, nullable=True)
    theirs: Mapped[Any] = mapped_column(MutableDict.as_mutable(JSON), nullable=True)


class Letter(Note):
    __tablename__ = "letters"
    id: Mapped[int] = mapped_column(ForeignKey("notes.id"), primary_key=True)
    stamps: Mapped[list[Any] | None]


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
        session.add(Note(data={"a": 1, "deep": [{"b": []}]}, rows=[{"n": 1}]))
    return database


async def stored(engine, column=Note.data):
    async with engine.session() as session:
        return await session.scalar(select(column))


async def test_a_change_deep_inside_is_saved(engine):
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        note.data["deep"][0]["b"].append({"c": 1})
        note.tags.append("new")
        note.rows[0]["n"] += 1
    assert await stored(engine) == {"a": 1, "deep": [{"b": [{"c": 1}]}]}
    assert await stored(engine, Note.tags) == ["new"]
    assert await stored(engine, Note.rows) == [{"n": 2}]


async def test_an_object_nobody_holds_is_saved(engine):
    async with engine.transaction() as session:
        (await session.get_one(Note, 1)).data["a"] = 2
    assert (await stored(engine))["a"] == 2


@pytest.mark.parametrize("expire", [True, False])
async def test_a_plain_session_saves_changes_again_and_again(engine, expire):
    async with AsyncSession(engine.engine, expire_on_commit=expire) as session:
        note = await session.get_one(Note, 1)
        for value in (2, 3):
            note.data["a"] = value
            await session.commit()
            if expire:
                await session.refresh(note)
        data = note.data
        data["a"] = 4
        await session.flush()
        data["a"] = 5
        assert note in session.dirty
        await session.commit()
    assert (await stored(engine))["a"] == 5


async def test_a_change_before_the_first_flush_is_saved(engine):
    async with engine.transaction() as session:
        note = Note(data={"a": {}})
        note.data["a"]["b"] = 1
        session.add(note)
        note.data["c"] = 2
        await session.flush()
        note.data["a"]["d"] = 3
    async with engine.session() as session:
        found = await session.get_one(Note, note.id)
        assert found.data == {"a": {"b": 1, "d": 3}, "c": 2}


async def test_what_was_assigned_is_saved_as_it_is_at_the_flush(engine):
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        copied = dict(note.data)
        copied["deep"].append("seen")  # of the note, too
        note.data = copied
        await session.flush()
        note.data["z"] = 1
    assert await stored(engine) == {"a": 1, "deep": [{"b": []}, "seen"], "z": 1}


async def test_reading_writes_nothing(engine):
    statements = []
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        event.listen(
            engine.engine.sync_engine,
            "before_cursor_execute",
            lambda *arguments: statements.append(arguments[2]),
        )
        assert [*note.data.values()][1][0]["b"] == []
        assert note.tags == []
        assert not session.dirty
    assert statements == []


async def test_rollback_and_refresh_bring_back_what_is_stored(engine):
    async with AsyncSession(engine.engine) as session:
        note = await session.get_one(Note, 1)
        old = note.data
        old["a"] = 2
        await session.flush()
        await session.rollback()
        await session.refresh(note)
        assert note.data["a"] == 1
        note.data["a"] = 3
        await session.refresh(note)
        assert note.data["a"] == 1
        session.expire(note)
        old["a"] = 4  # of nobody, by now
        await session.commit()
    assert (await stored(engine))["a"] == 1


async def test_a_change_of_a_detached_object_is_merged(engine):
    async with engine.session() as session:
        note = await session.get_one(Note, 1)
    note.data["deep"][0]["b"].append(1)
    async with engine.transaction() as session:
        merged = await session.merge(note)
        note.data["a"] = "mine"
        assert merged.data == {"a": 1, "deep": [{"b": [1]}]}
        merged.data["deep"].append("more")
    assert await stored(engine) == {"a": 1, "deep": [{"b": [1]}, "more"]}
    assert note.data == {"a": "mine", "deep": [{"b": [1]}]}


async def test_a_pickled_object_keeps_its_value_and_its_changes(engine):
    async with engine.session() as session:
        note = await session.get_one(Note, 1)
    note.data["a"] = 2
    copied = pickle.loads(pickle.dumps(note))
    async with engine.transaction() as session:
        session.add(copied)
        await session.flush()
        copied.data["deep"][0]["b"].append(3)
    assert await stored(engine) == {"a": 2, "deep": [{"b": [3]}]}


async def test_null_stays_null_and_becomes_a_value(engine):
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        note.data = None
    async with engine.transaction() as session:
        assert await session.scalar(select(Note.id).where(Note.data.is_(None))) == 1
        note = await session.get_one(Note, 1)
        assert note.data is None
        note.data = {}
        note.data["a"] = 1
    assert await stored(engine) == {"a": 1}


async def test_a_value_that_loads_later_is_tracked(engine):
    async with engine.transaction() as session:
        note = (await session.scalars(select(Note).options(defer(Note.data)))).one()
        await session.run_sync(lambda _: note.data.update(a=2))
    assert (await stored(engine))["a"] == 2


async def test_a_statement_takes_a_tracked_value(engine):
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        await session.execute(update(Note).values(rows=[note.data["deep"]]))
    assert await stored(engine, Note.rows) == [[{"b": []}]]


async def test_attributes_of_a_subclass_are_tracked(engine):
    async with engine.transaction() as session:
        session.add(Letter(id=7, data={}, stamps=[[]]))
    async with engine.transaction() as session:
        letter = await session.get_one(Letter, 7)
        letter.data["a"] = 1
        letter.stamps[0].append("blue")
    async with engine.session() as session:
        letter = await session.get_one(Letter, 7)
        assert (letter.data, letter.stamps) == ({"a": 1}, [["blue"]])


async def test_columns_with_a_decorator_are_tracked_and_mutable_ones_left_alone(engine):
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        note.packed, note.theirs = [[]], {"a": {}}
    async with engine.transaction() as session:
        note = await session.get_one(Note, 1)
        note.packed[0].append(1)
        assert type(note.theirs) is MutableDict
        assert type(note.theirs["a"]) is dict
        note.theirs["b"] = note.packed[0]
    assert await stored(engine, Note.packed) == [[1]]
    assert await stored(engine, Note.theirs) == {"a": {}, "b": [1]}


async def test_a_column_added_later_is_tracked():
    class Late(Base):
        __tablename__ = "late"
        metadata = MetaData()
        id: Mapped[int] = mapped_column(primary_key=True)

    Late()
    Late.more = mapped_column(JSON)
    async with DatabaseEngine(":memory:", metadata=Late.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Late(more=[]))
        async with engine.transaction() as session:
            (await session.get_one(Late, 1)).more.append(1)
        assert await stored(engine, Late.more) == [1]


async def test_a_thousand_changes_are_flushed_off_the_loop(engine):
    async with engine.transaction() as session:
        session.add_all(Note(data={"n": {"i": n}}) for n in range(1200))
    async with engine.transaction() as session:
        for note in await session.scalars(select(Note).where(Note.id > 1)):
            note.data["n"]["i"] = -1
            await asyncio.sleep(0)
        assert len(session.dirty) == 1200
    assert inspect(note).detached
    async with engine.session() as session:
        values = await session.scalars(select(Note.data).where(Note.id > 1))
        assert values.all() == [{"n": {"i": -1}}] * 1200
