"""
Many records at once: what is written, what comes back, and what happens to errors.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    mapped_column,
    reconstructor,
    relationship,
)

from project_architect_db import DatabaseEngine, TransactionAbortedError
from project_architect_db.base import Base as LibraryBase
from project_architect_db.base import TimestampMixin, VersionMixin
from project_architect_db.errors import (
    ConstraintError,
    DuplicateError,
    InvalidDataError,
    InvalidValueError,
    MissingParentError,
    NotFoundError,
    StaleRecordError,
    StillReferencedError,
    UnknownFieldError,
    UnsupportedOperationError,
)
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.tracked_json import track_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    type_annotation_map = LibraryBase.type_annotation_map


track_json(Base)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Lowered(sa.types.TypeDecorator):
    """
    Text in lower case; what is no text is no value of it.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.lower()


class Folder(Base):
    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    notes: Mapped[list[Note]] = relationship(back_populates="folder")


class Note(TimestampMixin, VersionMixin, Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(20))
    rank: Mapped[int] = mapped_column(default=0)
    details: Mapped[dict[str, Any] | None]
    folder_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("folders.id", ondelete="RESTRICT")
    )

    folder: Mapped[Folder | None] = relationship(back_populates="notes")

    @reconstructor
    def remember(self):
        self.was_loaded = True


def upper(context):
    return context.get_current_parameters()["given name"].upper()


class Thing(Base):
    """
    A column of each kind.
    """

    __tablename__ = "things"

    key: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column("given name")
    shout: Mapped[str] = mapped_column(default=upper, onupdate="changed")
    tagged: Mapped[str] = mapped_column(Lowered, default="T")
    color: Mapped[Color | None]
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(6, 2))
    share: Mapped[float | None] = mapped_column(sa.Numeric(6, 2, asdecimal=False))
    at: Mapped[dt.datetime | None]
    made: Mapped[dt.datetime] = mapped_column(server_default=sa.func.now())
    made_here: Mapped[int] = mapped_column(default=sa.text("40 + 2"))
    number: Mapped[int] = mapped_column(server_default="7")
    double: Mapped[int] = mapped_column(sa.Computed("number * 2"))
    anything: Mapped[Any] = mapped_column(sa.JSON, nullable=True)


class Ticket(Base):
    """
    A sequence that takes steps of ten.
    """

    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(
        sa.Sequence("ticket_numbers", start=100, increment=10, metadata=Base.metadata),
        primary_key=True,
    )
    name: Mapped[str]


class Place(VersionMixin, Base):
    """
    A key of two columns.
    """

    __tablename__ = "places"

    x: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    y: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Line(Base):
    """
    A key of two columns, one of which counts.
    """

    __tablename__ = "lines"

    page: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)


class Counted(Base):
    """
    Something else than its key counts.
    """

    __tablename__ = "counted"

    name: Mapped[str] = mapped_column(primary_key=True, default=lambda: "x")
    number: Mapped[int] = mapped_column(sa.Identity(start=5))
    double = column_property(sa.literal_column("number * 2", sa.Integer))


class OpaqueType(sa.types.UserDefinedType):
    """
    A type that says nothing about its values.
    """

    cache_ok = True

    def get_col_spec(self):
        return "INTEGER"


class Opaque(Base):
    __tablename__ = "opaque"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[Any] = mapped_column(OpaqueType)


class Shape(Base):
    __tablename__ = "shapes"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "shape"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Circle(Shape):
    __mapper_args__ = {"polymorphic_identity": "circle"}

    radius: Mapped[int | None]


class Box(Shape):
    """
    It has a table of its own.
    """

    __tablename__ = "boxes"
    __mapper_args__ = {"polymorphic_identity": "box"}

    id: Mapped[int] = mapped_column(sa.ForeignKey("shapes.id"), primary_key=True)
    width: Mapped[int]


class NoteCreate(BaseModel):
    title: str = Field(min_length=2)
    rank: int = 5


class NoteUpdate(BaseModel):
    title: str | None = Field(None, min_length=2)
    rank: int | None = None


class CheckedRepository(BaseRepository[Note]):
    create_schema = NoteCreate
    update_schema = NoteUpdate


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    """
    A session whose changes are undone.
    """
    async with engine.session() as session:
        yield session
        await session.rollback()


@pytest_asyncio.fixture(loop_scope="module")
async def notes(session):
    return BaseRepository[Note](session)


@pytest_asyncio.fixture(loop_scope="module")
async def three(notes):
    return await notes.bulk_create(rows(3))


def rows(count, **values):
    return [{"id": 1000 + n, "title": f"n{n}", **values} for n in range(count)]


def told():
    """
    What a progress callback was told, and the callback.
    """
    calls = []
    return calls, lambda *args: calls.append(args)


async def stored(session, model=Note):
    return (await session.execute(sa.select(model.__table__))).all()


# --- bulk_create --------------------------------------------------------------------


async def test_many_are_made_in_their_order(notes):
    made = await notes.bulk_create([{"title": f"n{n}", "rank": n} for n in range(50)])

    assert list(range(50)) == [note.rank for note in made]
    assert len({note.id for note in made}) == 50
    assert made == await notes.list()


async def test_what_is_made_is_persistent(notes):
    (made,) = await notes.bulk_create([{"title": "a", "details": {"x": [1]}}])

    assert sa.inspect(made).persistent
    assert made is await notes.session.get(Note, made.id)
    assert made is await notes.get_by_id(made.id)
    made.title = "b"
    made.details["x"].append(2)
    await notes.session.flush()
    (row,) = await stored(notes.session)
    assert ("b", {"x": [1, 2]}, 2) == (row.title, row.details, row.version)
    assert made.was_loaded


async def test_a_rollback_makes_them_transient(engine):
    async with engine.session() as session:
        notes = BaseRepository[Note](session)
        (made,) = await notes.bulk_create([{"title": "a"}])
        await session.rollback()
        assert sa.inspect(made).transient
        assert 0 == await notes.count()


async def test_a_commit_keeps_them(engine):
    async with engine.transaction() as session:
        (made,) = await BaseRepository[Note](session).bulk_create([{"title": "a"}])
    async with engine.transaction() as session:
        assert "a" == (await BaseRepository[Note](session).get_one(made.id)).title
        assert await BaseRepository[Note](session).delete(made.id)


async def test_relationships_are_loaded_on_demand(session):
    (folder,) = await BaseRepository[Folder](session).bulk_create([{"name": "f"}])
    made = await BaseRepository[Note](session).bulk_create(
        [{"title": "a", "folder_id": folder.id}, {"title": "b"}]
    )

    await session.refresh(folder, ["notes"])
    await session.refresh(made[1], ["folder"])
    assert ([made[0]], None) == (folder.notes, made[1].folder)
    made[1].folder = folder
    await session.flush()
    assert folder.id == made[1].folder_id


async def test_pending_objects_are_written_first(session):
    folder = Folder(name="f")
    note = Note(title="pending", folder=folder)
    session.add(note)
    notes = BaseRepository[Note](session)

    await notes.bulk_create([{"title": "a"}])

    assert sa.inspect(note).persistent
    note.title = "changed"
    await notes.bulk_update([{"id": note.id, "rank": 3}])
    assert ("changed", 3, 3) == (note.title, note.rank, note.version)


async def test_nothing_is_made_of_nothing(notes):
    calls, progress = told()
    assert [] == await notes.bulk_create([], progress=progress)
    assert 0 == await notes.bulk_insert([], progress=progress)
    assert 0 == await notes.bulk_update([], progress=progress)
    assert 0 == await notes.bulk_upsert([], progress=progress)
    assert 0 == await notes.bulk_delete([], progress=progress)
    assert [] == calls


async def test_everything_the_database_and_python_make_is_there(session):
    things = BaseRepository[Thing](session)
    data = {
        "name": "ada", "color": "blue", "price": "1.50", "share": 0.5,
        "at": dt.datetime(2026, 1, 1, 12),
    }  # fmt: skip

    made, other = await things.bulk_create([data, {"name": "bob", "number": 1}])

    assert isinstance(made.key, uuid.UUID)
    assert ("ADA", 42, 7, 14) == (made.shout, made.made_here, made.number, made.double)
    assert ("BOB", 42, 1, 2) == (
        other.shout, other.made_here, other.number, other.double,
    )  # fmt: skip
    assert (Color.BLUE, Decimal("1.50"), 0.5) == (made.color, made.price, made.share)
    assert dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) == made.at
    assert other.at is None
    before = {name: getattr(made, name) for name in Thing.__mapper__.columns.keys()}  # noqa: SIM118
    await session.refresh(made)
    after = {name: getattr(made, name) for name in before}
    assert before | {"tagged": "t"} == after


async def test_null_in_json_is_what_the_type_says(session):
    things = BaseRepository[Thing](session)
    await things.bulk_create(
        [
            {"name": "null", "anything": None},
            {"name": "absent"},
            {"name": "x", "anything": [1]},
        ]
    )
    found = await session.execute(
        sa.text('SELECT "given name", anything::VARCHAR FROM things ORDER BY 1')
    )
    assert [("absent", None), ("null", "null"), ("x", "[1]")] == found.all()


async def test_keys_of_a_sequence_with_steps(session):
    tickets = BaseRepository[Ticket](session)
    made = await tickets.bulk_create([{"name": f"n{n}"} for n in range(3)])
    keys = [ticket.id for ticket in made]

    assert [10, 10] == [b - a for a, b in pairwise(keys)]
    assert keys[-1] + 10 == (await tickets.create({"name": "x"})).id


async def test_keys_of_two_columns(session):
    places = BaseRepository[Place](session)
    made = await places.bulk_create(
        [{"x": 1, "y": "a", "name": "n"}, {"x": 1, "y": "b", "name": "n"}]
    )

    assert made == await places.get_many([(1, "a"), (1, "b")])
    change = {"x": 1, "y": "b", "name": "m", "version": 1}
    assert 1 == await places.bulk_update([change])
    assert ("n", "m", 2) == (made[0].name, made[1].name, made[1].version)
    with pytest.raises(NotFoundError) as missing:
        await places.bulk_update([{"x": 1, "y": "c", "name": "m"}])
    assert (1, "c") == missing.value.id
    with pytest.raises(StaleRecordError) as stale:
        await places.bulk_update([change])
    assert ((1, "b"), 1, 2) == (
        stale.value.id, stale.value.expected, stale.value.found,
    )  # fmt: skip
    assert 1 == await places.bulk_upsert([{"x": 1, "y": "a", "name": "o"}])
    assert ("o", 2) == (made[0].name, made[0].version)
    assert 1 == await places.bulk_delete([(1, "a"), (2, "a")])
    with pytest.raises(InvalidDataError, match=r"row 1: .*expected 2 values"):
        await places.bulk_delete([(1, "a"), 1])


async def test_one_of_two_keys_counts(session):
    lines = BaseRepository[Line](session)
    first = await lines.create({"page": 1})
    made = await lines.bulk_create([{"page": 1}, {"page": 1}])

    numbers = [line.number for line in [first, *made]]
    assert numbers == sorted(set(numbers))
    assert None not in numbers


async def test_another_column_than_the_key_counts(session):
    counted = BaseRepository[Counted](session)
    (made,) = await counted.bulk_create([{}])
    other = await counted.create({"name": "y"})

    assert ("x", made.number + 1) == (made.name, other.number)
    await session.refresh(made, ["double"])
    assert (made.number * 2, other.number * 2) == (made.double, other.double)


async def test_a_kind_of_a_model_in_the_same_table(session):
    shapes, circles = BaseRepository[Shape](session), BaseRepository[Circle](session)
    (shape,) = await shapes.bulk_create([{}])
    (circle,) = await circles.bulk_create([{"radius": 2}])

    assert ("shape", "circle") == (shape.kind, circle.kind)
    assert [circle] == await circles.list()
    with pytest.raises(NotFoundError):
        await circles.bulk_update([{"id": shape.id, "radius": 2}])
    assert 1 == await circles.bulk_update([{"id": circle.id, "radius": 3}])
    assert 3 == circle.radius


async def test_a_model_in_two_tables_is_not_for_bulk_work(session):
    boxes = BaseRepository[Box](session)
    box = await boxes.create({"width": 1})

    for refused in (
        boxes.bulk_create([{"width": 1}]),
        boxes.bulk_insert([{"width": 1}]),
        boxes.bulk_upsert([{"width": 1}]),
        boxes.bulk_update([{"id": box.id, "width": 1}]),
    ):
        with pytest.raises(UnsupportedOperationError, match="in several tables"):
            await refused
    assert 1 == await boxes.bulk_delete([box.id])
    assert 0 == await boxes.count()


@pytest.mark.slow
async def test_thousands_come_in_pieces(notes):
    calls, progress = told()
    data = ({"title": f"n{n}", "rank": n} for n in range(25_000))

    made = await notes.bulk_create(data, progress=progress)

    assert [(10_000, 25_000), (20_000, 25_000), (25_000, 25_000)] == calls
    assert list(range(25_000)) == [note.rank for note in made]
    assert made[20_123] is await notes.get_by_id(made[20_123].id)
    calls.clear()
    changes = [{"id": note.id, "rank": 0} for note in made]
    assert 25_000 == await notes.bulk_update(changes, progress=progress)
    assert {0} == {note.rank for note in made}
    ids = [note.id for note in made]
    assert 25_000 == await notes.bulk_delete(ids, progress=progress)
    steps = [(10_000, 25_000), (20_000, 25_000), (25_000, 25_000)]
    assert [*steps, *steps] == calls
    assert 0 == await notes.count()


# --- what is wrong ------------------------------------------------------------------

BAD = {
    "an unknown field": ({"titel": "a"}, UnknownFieldError, "titel"),
    "too long": ({"title": "x" * 21}, InvalidDataError, "title"),
    "missing": ({"rank": 1}, InvalidDataError, "title"),
    "null": ({"title": None}, InvalidDataError, "title"),
    "a wrong type": ({"title": "a", "rank": "x"}, InvalidDataError, "rank"),
    "no JSON": ({"title": "a", "details": {"x": {1}}}, InvalidDataError, "details"),
    "no dict": ("title", InvalidDataError, "*"),
}


@pytest.mark.parametrize("method", ["bulk_create", "bulk_upsert", "bulk_insert"])
@pytest.mark.parametrize("case", BAD)
async def test_one_bad_row_is_named_and_nothing_is_written(engine, method, case):
    row, error, field = BAD[case]
    data = [{"title": "a"} for _ in range(10_500)]
    data[10_345] = row

    async with engine.session() as session:
        notes = BaseRepository[Note](session)
        with pytest.raises(error) as refused:
            await getattr(notes, method)(data)
        assert ("Note", field) == (refused.value.model, refused.value.field)
        assert 10_345 == refused.value.index
        # It was swallowed, and somebody commits.
        try:
            await session.commit()
        except TransactionAbortedError:
            await session.rollback()
        assert [] == await stored(session)


async def test_one_bad_change_is_named_and_nothing_is_written(notes, three):
    for row, error in [
        ({"id": 1001, "title": None}, InvalidDataError),
        ({"title": "a"}, InvalidDataError),
        ({"id": None, "title": "a"}, InvalidDataError),
        ({"id": 1001, "titel": "a"}, UnknownFieldError),
        ({"id": 1, "title": "a"}, NotFoundError),
        ({"id": 1001, "title": "a", "version": 3}, StaleRecordError),
    ]:
        with pytest.raises(error) as refused:
            await notes.bulk_update([{"id": 1000, "title": "x"}, row])
        assert 1 == refused.value.index
        assert {"n0", "n1", "n2"} == {row.title for row in await stored(notes.session)}


async def test_a_change_that_a_type_refuses_ends_the_transaction(engine):
    async with engine.session() as session:
        things = BaseRepository[Thing](session)
        made = await things.bulk_create([{"name": "a"}, {"name": "b"}])
        changes = [{"key": made[0].key, "name": "c"}, {"key": made[1].key, "tagged": 5}]
        with pytest.raises(InvalidDataError, match=r"row 1: Thing\.tagged") as refused:
            await things.bulk_update(changes)
        assert (5, 1) == (refused.value.value, refused.value.index)
        with pytest.raises(TransactionAbortedError):
            await session.commit()
        await session.rollback()


async def test_what_the_database_refuses_is_its_error(engine):
    async with engine.session() as session:
        folders = BaseRepository[Folder](session)
        with pytest.raises(DuplicateError):
            await folders.bulk_create([{"name": "a"}, {"name": "a"}])
        await session.rollback()
        with pytest.raises(InvalidValueError):
            await session.execute(sa.text("INSERT INTO folders VALUES ('x', 1)"))
        await session.rollback()
        with pytest.raises(ConstraintError):
            await session.execute(sa.text("INSERT INTO folders (id) VALUES (1)"))
        await session.rollback()
        assert 0 == await folders.count()


async def test_a_value_that_only_the_database_refuses(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidValueError, match="Could not convert"):
            await BaseRepository[Opaque](session).bulk_create([{"id": 1, "size": "x"}])
        await session.rollback()


async def test_parents_have_to_be_there_and_stay(engine):
    with pytest.raises(MissingParentError) as missing:
        async with engine.transaction() as session:
            await BaseRepository[Note](session).bulk_create(rows(2, folder_id=77))
    assert (77,) == missing.value.keys
    async with engine.session() as session:
        (folder,) = await BaseRepository[Folder](session).bulk_create([{"name": "f"}])
        await BaseRepository[Note](session).bulk_create(rows(2, folder_id=folder.id))
        with pytest.raises(StillReferencedError):
            await BaseRepository[Folder](session).bulk_delete([folder.id])
        await session.rollback()


async def test_an_error_in_the_callers_own_code_leaves_nothing(engine):
    def broken():
        yield from ({"title": "a"} for _ in range(10_001))
        raise ZeroDivisionError

    def progress(*_):
        raise ZeroDivisionError

    for work in (
        lambda notes: notes.bulk_insert(broken()),
        lambda notes: notes.bulk_create([{"title": "a"}], progress=progress),
        lambda notes: notes.bulk_upsert([{"title": "a"}], progress=progress),
    ):
        async with engine.session() as session:
            with pytest.raises(ZeroDivisionError):
                await work(BaseRepository[Note](session))
            with pytest.raises(TransactionAbortedError):
                await session.commit()
            await session.rollback()
            assert [] == await stored(session)


async def test_a_transaction_does_not_commit_after_an_error_that_was_swallowed(engine):
    with pytest.raises(TransactionAbortedError):
        async with engine.transaction() as session:
            with pytest.raises(InvalidDataError):
                await BaseRepository[Note](session).bulk_insert(
                    [{"title": "a"}] * 10_000 + [{}]
                )
    async with engine.session() as session:
        assert [] == await stored(session)


async def test_a_refusal_before_the_first_write_ends_nothing(engine):
    async with engine.transaction() as session:
        notes = BaseRepository[Note](session)
        (made,) = await notes.bulk_create([{"title": "a"}])
        with pytest.raises(InvalidDataError):
            await notes.bulk_create([{}])
        with pytest.raises(NotFoundError):
            await notes.bulk_update([{"id": -1, "title": "b"}])
        with pytest.raises(UnknownFieldError, match="did you mean 'title'"):
            await notes.bulk_upsert([{"title": "a"}], match=["titl"])
    async with engine.transaction() as session:
        assert await BaseRepository[Note](session).delete(made.id)


# --- schemas ------------------------------------------------------------------------


async def test_schemas_check_many(session):
    notes = CheckedRepository(session)

    made = await notes.bulk_create([{"title": "ab"}, NoteCreate(title="cd", rank=1)])
    assert [("ab", 5), ("cd", 1)] == [(note.title, note.rank) for note in made]
    assert 2 == await notes.bulk_update(
        [{"id": made[0].id, "title": "xy"}, {"id": made[1].id, "rank": 7, "version": 1}]
    )
    assert [("xy", 5), ("cd", 7)] == [(note.title, note.rank) for note in made]
    assert 1 == await notes.bulk_insert([{"title": "ef"}])
    for refused in (
        notes.bulk_create([{"title": "ab"}, {"title": "a"}]),
        notes.bulk_insert([{"title": "ab"}, {"title": "a"}]),
        notes.bulk_update([{"id": made[0].id}, {"id": made[1].id, "title": "a"}]),
    ):
        with pytest.raises(InvalidDataError, match=r"row 1: Note\w+\.title"):
            await refused


async def test_pydantic_models_need_no_schema(session):
    class Row(BaseModel):
        id: int
        title: str = "t"
        rank: int = 9

    notes = BaseRepository[Note](session)
    made, _ = await notes.bulk_create([Row(id=1000), {"title": "a"}])

    assert ("t", 9) == (made.title, made.rank)
    await notes.bulk_update([Row(id=1000, title="u"), {"id": 1000, "rank": 1}])
    assert ("u", 1) == (made.title, made.rank)


# --- bulk_insert --------------------------------------------------------------------


async def test_rows_are_inserted_as_they_come(notes):
    calls, progress = told()
    data = ({"title": f"n{n}"} for n in range(10_001))

    assert 10_001 == await notes.bulk_insert(data, progress=progress)
    assert [(10_000, 10_000), (10_001, 10_001)] == calls
    assert 10_001 == await notes.count()


# --- bulk_update --------------------------------------------------------------------


async def test_each_row_changes_what_it_says(notes, three):
    calls, progress = told()
    before = three[0].updated_at

    changed = await notes.bulk_update(
        [
            {"id": 1000, "title": "x"},
            {"id": 1001, "rank": 5},
            {"id": 1002, "title": "y", "version": 1},
        ],
        progress=progress,
    )

    assert (3, [(1, 3), (2, 3), (3, 3)]) == (changed, calls)
    found = [(note.title, note.rank, note.version) for note in three]
    assert [("x", 0, 2), ("n1", 5, 2), ("y", 0, 2)] == found
    assert before < three[0].updated_at
    rows = await stored(notes.session)
    assert found == sorted(
        [(row.title, row.rank, row.version) for row in rows], key=found.index
    )


async def test_a_row_that_is_there_twice_is_one_change(notes, three):
    changed = await notes.bulk_update(
        [
            {"id": 1000, "title": "x", "rank": 1},
            {"id": 1000, "title": "y"},
            {"id": 1000, "title": "z", "rank": 2},
            {"id": 1000, "title": "last"},
        ]
    )

    assert (1, "last", 2, 2) == (
        changed, three[0].title, three[0].rank, three[0].version,
    )  # fmt: skip


async def test_a_row_that_changes_nothing_counts(notes, three):
    assert 2 == await notes.bulk_update([{"id": 1000}, {"id": 1001, "version": 1}])
    assert [1, 1] == [three[0].version, three[1].version]


async def test_what_an_update_sets_by_itself(session):
    things = BaseRepository[Thing](session)
    (made,) = await things.bulk_create([{"name": "a"}])

    await things.bulk_update([{"key": str(made.key), "name": "b"}])
    assert ("b", "changed") == (made.name, made.shout)
    await things.bulk_upsert([{"key": made.key, "name": "c", "shout": "C"}])
    assert ("c", "C") == (made.name, made.shout)
    await things.bulk_upsert([{"key": made.key, "name": "d"}])
    assert ("d", "changed", "T".lower()) == (made.name, made.shout, made.tagged)


async def test_json_that_is_changed_in_place_afterwards_is_saved(notes, three):
    await notes.bulk_update([{"id": 1000, "details": {"x": [1]}}])
    three[0].details["x"].append(2)
    await notes.session.flush()
    assert {"x": [1, 2]} in [row.details for row in await stored(notes.session)]


# --- bulk_upsert --------------------------------------------------------------------


async def test_rows_are_added_or_changed(notes, three):
    calls, progress = told()

    written = await notes.bulk_upsert(
        [{"id": 1000, "title": "x"}, {"id": 2000, "title": "new"}, {"title": "newer"}],
        progress=progress,
    )

    assert (3, [(2, 3), (3, 3)]) == (written, calls)
    assert ("x", 2) == (three[0].title, three[0].version)
    assert 5 == await notes.count()
    assert 0 == (await notes.get_one(2000)).rank


async def test_rows_are_matched_by_other_fields(session):
    folders = BaseRepository[Folder](session)
    made = await folders.bulk_create([{"name": "a"}])

    assert 3 == await folders.bulk_upsert(
        [{"name": "a"}, {"name": "b"}, {"name": "b"}], match=["name"]
    )
    assert made[0] is await folders.get_one_or_none(name="a")
    assert 2 == await folders.count()


async def test_the_same_row_twice_ends_as_the_last(notes, three):
    await notes.bulk_upsert([{"id": 1000, "title": "x"}, {"id": 1000, "title": "y"}])
    assert "y" == three[0].title


async def test_an_upsert_honours_versions(notes, three):
    await notes.bulk_upsert([{"id": 1000, "title": "x", "version": 1}])
    assert ("x", 2) == (three[0].title, three[0].version)
    with pytest.raises(StaleRecordError) as stale:
        await notes.bulk_upsert([{"id": 1000, "title": "y", "version": 1}])
    assert (1000, 1, 2) == (stale.value.id, stale.value.expected, stale.value.found)


async def test_a_new_row_takes_no_key_that_is_in_use(engine):
    async with engine.session() as session:
        tickets = BaseRepository[Ticket](session)
        used = (await tickets.create({"name": "a"})).id + 10
        await tickets.bulk_create([{"id": used, "name": "b"}])
        with pytest.raises(DuplicateError):
            await tickets.bulk_upsert([{"name": "c"}])
        await session.rollback()


# --- bulk_delete --------------------------------------------------------------------


async def test_objects_of_deleted_rows_are_deleted_too(notes, three):
    calls, progress = told()

    assert 2 == await notes.bulk_delete([1000, 1001, 1001, 5], progress=progress)

    assert [(3, 3)] == calls
    assert [True, True, False] == [sa.inspect(note).deleted for note in three]
    assert [three[2]] == await notes.list()


async def test_a_wrong_id_of_many_is_named(notes, three):
    with pytest.raises(InvalidDataError, match=r"row 2: Note\.id") as refused:
        await notes.bulk_delete([1000, 1001, "x"])
    assert 2 == refused.value.index
    assert 3 == await notes.count()


# --- elsewhere ----------------------------------------------------------------------


@pytest.mark.parametrize("url", ["duckdb+async://", "sqlite+aiosqlite://"])
async def test_a_session_of_sqlalchemy_will_do(url):
    engine = create_async_engine(url)
    tables = [Folder.__table__, Note.__table__]
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: Base.metadata.create_all(c, tables=tables))
    async with AsyncSession(engine, expire_on_commit=False) as session:
        folders = BaseRepository[Folder](session)
        if url.startswith("duckdb"):
            made = await folders.bulk_create([{"name": "a"}, {"name": "b"}])
            await session.commit()
            changes = [{"id": folder.id, "name": folder.name * 2} for folder in made]
            assert 2 == await folders.bulk_update(changes)
            assert ["aa", "bb"] == [folder.name for folder in made]
            assert 2 == await folders.bulk_delete([folder.id for folder in made])
            await session.commit()
        notes = BaseRepository[Note](session)
        bad = {"title": "a", "details": {"x": {1}}}
        with pytest.raises(InvalidDataError, match=r"row 1: Note\.details"):
            await notes.bulk_create([*rows(1), {"id": 1} | bad])
        await session.rollback()
        assert [] == await stored(session)
        with pytest.raises(ZeroDivisionError):
            await notes.bulk_insert(rows(3), progress=lambda *_: 1 / 0)
        await session.rollback()
        assert [] == await stored(session)
    await engine.dispose()
