"""
What a repository does with one record, and how it finds many.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any, Generic, TypeVar

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import BaseModel, Field
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
)

from project_architect_db import DatabaseEngine
from project_architect_db.base import Base as LibraryBase
from project_architect_db.base import TimestampMixin, VersionMixin
from project_architect_db.errors import (
    ConfigurationError,
    DuplicateError,
    InvalidDataError,
    InvalidValueError,
    MissingParentError,
    NotFoundError,
    StaleRecordError,
    StillReferencedError,
    UnknownFieldError,
)
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_pages import Page
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.orm.schema import Schema, absent
from project_architect_db.tracked_json import track_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    type_annotation_map = LibraryBase.type_annotation_map


track_json(Base)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20), unique=True)
    notes: Mapped[list[Note]] = relationship(back_populates="author", lazy="joined")


class Note(TimestampMixin, VersionMixin, Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(20))
    rank: Mapped[int] = mapped_column(default=0)
    details: Mapped[dict[str, Any] | None]
    author_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("authors.id", ondelete="RESTRICT")
    )

    author: Mapped[Author | None] = relationship(back_populates="notes")


def upper(context):
    return context.get_current_parameters()["given name"].upper()


class Lowered(sa.types.TypeDecorator):
    """
    Text in lower case; what is no text is no value of it.
    """

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.lower()


class Thing(Base):
    """
    A column of each kind.
    """

    __tablename__ = "things"

    key: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str] = mapped_column("given name")
    shout: Mapped[str] = mapped_column(default=upper)
    tagged: Mapped[str] = mapped_column(Lowered, default="T")
    color: Mapped[Color | None]
    state: Mapped[str] = mapped_column(sa.Enum("open", "done"), default="open")
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(6, 2))
    share: Mapped[float | None] = mapped_column(sa.Numeric(6, 2, asdecimal=False))
    text_id: Mapped[str | None] = mapped_column(sa.Uuid(as_uuid=False))
    at: Mapped[dt.datetime | None]
    naive: Mapped[dt.datetime | None] = mapped_column(sa.DateTime())
    made: Mapped[dt.datetime] = mapped_column(server_default=sa.func.now())
    made_here: Mapped[int] = mapped_column(default=sa.text("40 + 2"))
    number: Mapped[int] = mapped_column(server_default="7")
    double: Mapped[int] = mapped_column(sa.Computed("number * 2"))
    anything: Mapped[Any] = mapped_column(sa.JSON, nullable=True)
    parts: Mapped[list[str] | None] = mapped_column(sa.ARRAY(sa.String))


class Place(Base):
    """
    A key of two columns.
    """

    __tablename__ = "places"

    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Shape(Base):
    """
    One table for all kinds of it.
    """

    __tablename__ = "shapes"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "shape"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Circle(Shape):
    __mapper_args__ = {"polymorphic_identity": "circle"}

    radius: Mapped[int | None]


class Vehicle(Base):
    """
    A table of its own for each kind of it.
    """

    __tablename__ = "vehicles"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Car(Vehicle):
    __tablename__ = "cars"
    __mapper_args__ = {"polymorphic_identity": "car"}

    id: Mapped[int] = mapped_column(sa.ForeignKey("vehicles.id"), primary_key=True)
    doors: Mapped[int]


class Stamped(Base):
    """
    Its version is no number.
    """

    __tablename__ = "stamped"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    stamp: Mapped[str] = mapped_column()
    __mapper_args__ = {
        "version_id_col": stamp, "version_id_generator": lambda _: uuid.uuid4().hex,
    }  # fmt: skip


class NotesRepository(BaseRepository[Note]):
    async def ranked(self):
        return await self.base_query().filter(rank__gt=0).all()


class Details(BaseModel):
    """
    What is inside of JSON.
    """

    since: dt.date
    tags: list[str] = []


class NoteCreate(Schema):
    title: str = Field(min_length=2)
    rank: int = 5
    details: Details | None = None
    author_id: int | None = None


class NoteUpdate(Schema):
    title: str = absent(min_length=2)
    rank: int = 5
    details: Details | None = absent()


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
    return NotesRepository(session)


AN_HOUR_EAST = dt.timezone(dt.timedelta(hours=1))


def ids(records):
    return [record.id for record in records]


# --- which model --------------------------------------------------------------------

ModelT = TypeVar("ModelT")
OtherT = TypeVar("OtherT")


class Mixin(Generic[OtherT]):
    pass


class Generally(BaseRepository[ModelT]):
    pass


class OfNotes(Generally[Note], Mixin[int]):
    pass


class Inherited(OfNotes):
    pass


@pytest.mark.parametrize("kind", [OfNotes, Inherited, Generally[Note]])
async def test_the_model_is_found_however_it_is_said(session, kind):
    repository = kind(session)

    made = await repository.create({"title": "a"})

    assert repository.model is Note
    assert made is await repository.get_by_id(made.id)


async def test_a_repository_without_a_class_of_its_own(session):
    authors = BaseRepository[Author](session)

    made = await authors.create({"name": "Ada"})

    assert "Ada" == (await authors.get_one(made.id)).name


async def test_a_repository_of_nothing_says_so(session):
    with pytest.raises(ConfigurationError, match=r"of which model\? .*BaseRepository"):
        await BaseRepository(session).count()
    with pytest.raises(AttributeError, match=r"has no attribute 'x'$"):
        BaseRepository(session).x  # noqa: B018


async def test_hooks_are_told_which_method_it_was(engine):
    told = []
    engine.on_query(lambda query: told.append(query.operation))
    async with engine.transaction() as session:
        notes, plain = NotesRepository(session), BaseRepository[Author](session)
        await notes.list()
        await notes.ranked()
        assert [] == [note async for note in notes.stream()]
        await plain.count()
        await notes.bulk_delete([1])
        await notes.delete_where(rank__gt=100)

    expected = [
        "NotesRepository.list", "NotesRepository.all", "NotesRepository.stream",
        "BaseRepository[Author].count", "NotesRepository.bulk_delete",
        "NotesRepository.delete_where",
    ]  # fmt: skip
    assert expected == [*dict.fromkeys(name for name in told if name)]


# --- create -------------------------------------------------------------------------


async def test_a_record_is_made_of_a_dict(notes):
    made = await notes.create({"title": "a", "details": {"x": [1]}})

    assert sa.inspect(made).persistent
    assert ("a", 0, {"x": [1]}, 1) == (
        made.title,
        made.rank,
        made.details,
        made.version,
    )
    assert dt.UTC is made.created_at.tzinfo
    assert made is await notes.session.get(Note, made.id)


async def test_a_record_is_made_of_a_pydantic_model(notes):
    class Data(BaseModel):
        id: int | None = None
        title: str
        details: Details

    made = await notes.create(Data(title="a", details=Details(since="2026-01-01")))

    assert {"since": "2026-01-01", "tags": []} == made.details
    assert made.id is not None


async def test_everything_the_database_makes_is_there(session):
    things = BaseRepository[Thing](session)

    made = await things.create(
        {
            "name": "ada", "color": "BLUE", "price": "1.50", "share": 0.5,
            "text_id": str(uuid.UUID(int=1)), "at": dt.datetime(2026, 1, 1, 12),
            "naive": dt.datetime(2026, 1, 1, 12, tzinfo=AN_HOUR_EAST),
            "parts": ["a", "b"],
        }
    )  # fmt: skip

    assert isinstance(made.key, uuid.UUID)
    assert ("ADA", "open", 42, 7, 14) == (
        made.shout, made.state, made.made_here, made.number, made.double,
    )  # fmt: skip
    assert (Color.BLUE, Decimal("1.50"), 0.5) == (made.color, made.price, made.share)
    assert dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC) == made.at
    assert dt.datetime(2026, 1, 1, 11) == made.naive
    assert made.made is not None
    key = str(made.key)
    session.expire(made)
    found = await things.get_one(key)
    assert (made, ["a", "b"], "t") == (found, found.parts, found.tagged)


async def test_a_key_can_be_given(notes):
    assert 500 == (await notes.create({"id": 500, "title": "a"})).id


async def test_keys_of_two_columns(session):
    places = BaseRepository[Place](session)
    made = await places.create({"x": 1, "y": "a", "name": "home"})

    assert made is await places.get_by_id((1, "a"))
    assert [made] == await places.get_many([(2, "b"), (1, "a")])
    assert "work" == (await places.update((1, "a"), {"name": "work"})).name
    with pytest.raises(InvalidDataError, match=r"Place\.x, y: expected 2 values"):
        await places.get_by_id(1)
    assert await places.delete((1, "a"))
    assert not await places.delete((1, "a"))


async def test_a_kind_of_a_model_in_the_same_table(session):
    shapes, circles = BaseRepository[Shape](session), BaseRepository[Circle](session)
    shape = await shapes.create({})
    circle = await circles.create({"radius": 2})

    assert ("shape", "circle") == (shape.kind, circle.kind)
    assert [shape, circle] == await shapes.list()
    assert [circle] == await circles.list()
    assert not await circles.delete(shape.id)
    assert 0 == await circles.bulk_delete([shape.id])
    assert 1 == await circles.bulk_delete([shape.id, circle.id])


async def test_a_kind_of_a_model_in_a_table_of_its_own(session):
    cars = BaseRepository[Car](session)

    made = await cars.create({"doors": 3})
    await cars.update(made.id, {"doors": 5})

    id_ = made.id
    session.expire(made)
    found = await cars.get_one(id_)
    assert (5, "car") == (found.doors, found.kind)
    assert await cars.delete(made.id)
    assert 0 == await BaseRepository[Vehicle](session).count()


WRONG = {
    "a required field": ({}, InvalidDataError, "title", None),
    "an unknown field": ({"titel": "a"}, UnknownFieldError, "titel", ...),
    "a wrong type": ({"title": 1}, InvalidDataError, "title", 1),
    "too long a text": ({"title": "x" * 21}, InvalidDataError, "title", "x" * 21),
    "no null": ({"title": "a", "rank": None}, InvalidDataError, "rank", None),
    "too large": ({"title": "a", "rank": 2**31}, InvalidDataError, "rank", 2**31),
    "a time": ({"title": "a", "created_at": "x"}, InvalidDataError, "created_at", "x"),
    "no dict": (5, InvalidDataError, "*", 5),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_what_does_not_fit_is_refused_before_it_is_written(notes, case):
    data, error, field, value = WRONG[case]

    with pytest.raises(error) as refused:
        await notes.create(data)

    assert ("Note", field) == (refused.value.model, refused.value.field)
    assert value is ... or value == refused.value.value
    assert 0 == await notes.count()


async def test_an_unknown_field_comes_with_a_suggestion(notes):
    with pytest.raises(UnknownFieldError, match="did you mean 'title'") as refused:
        await notes.create({"titel": "a"})
    assert "title" == refused.value.suggestion


async def test_a_duplicate_is_refused(engine):
    async with engine.session() as session:
        authors = BaseRepository[Author](session)
        await authors.create({"name": "Ada"})
        with pytest.raises(DuplicateError):
            await authors.create({"name": "Ada"})
        await session.rollback()


async def test_a_parent_that_is_missing_is_named(engine):
    with pytest.raises(MissingParentError) as refused:
        async with engine.transaction() as session:
            await NotesRepository(session).create({"title": "a", "author_id": 7})
    assert (("authors", (7,))) == (refused.value.parent, refused.value.keys)


async def test_what_a_type_refuses_is_refused(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidDataError, match=r"Thing\.tagged: ") as refused:
            await BaseRepository[Thing](session).create({"name": "a", "tagged": 1})
        assert isinstance(refused.value.__cause__, InvalidValueError)
        await session.rollback()


# --- schemas ------------------------------------------------------------------------


async def test_a_create_schema_checks_and_adds_its_defaults(session):
    notes = CheckedRepository(session)

    made = await notes.create({"title": "ab", "details": {"since": "2026-01-01"}})

    assert (5, {"since": "2026-01-01", "tags": []}) == (made.rank, made.details)
    with pytest.raises(InvalidDataError, match=r"NoteCreate\.title: .*2 characters"):
        await notes.create({"title": "a"})
    with pytest.raises(UnknownFieldError, match="NoteCreate has no field 'id'"):
        await notes.create({"id": 1, "title": "ab"})


async def test_an_update_changes_only_what_was_given(session):
    notes = CheckedRepository(session)
    made = await notes.create(NoteCreate(title="ab", rank=1, details=None))

    await notes.update(made.id, NoteUpdate(title="cd"))
    assert ("cd", 1) == (made.title, made.rank)
    await notes.update(made.id, {"details": {"since": "2026-01-02"}})
    assert {"since": "2026-01-02", "tags": []} == made.details
    await notes.update(made.id, NoteUpdate(details=None))
    assert made.details is None
    with pytest.raises(InvalidDataError, match=r"NoteUpdate\.title"):
        await notes.update(made.id, {"title": "c"})


async def test_another_pydantic_model_is_checked_by_the_schema(session):
    class Form(BaseModel):
        title: str
        rank: int = 9

    notes = CheckedRepository(session)

    made = await notes.create(Form(title="ab"))
    assert 5 == made.rank  # the schema's, as the form's was not given
    with pytest.raises(InvalidDataError, match=r"NoteCreate\.title"):
        await notes.create(Form(title="a"))


async def test_the_version_need_not_be_in_the_schema(session):
    notes = CheckedRepository(session)
    made = await notes.create({"title": "ab"})

    assert 2 == (await notes.update(made.id, {"rank": 1, "version": 1})).version
    with pytest.raises(StaleRecordError):
        await notes.update(made.id, {"rank": 2, "version": 1})


async def test_a_schema_that_takes_more_is_refused_by_the_columns(session):
    class Open(BaseModel, extra="allow"):
        title: str

    with pytest.raises(UnknownFieldError, match="Note has no field 'colour'"):
        await NotesRepository(session).create(Open(title="a", colour="red"))


# --- read ---------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def five(notes):
    return await notes.bulk_create(
        [{"id": 10 + n, "title": f"n{n}", "rank": n % 2} for n in range(5)]
    )


async def test_a_record_that_is_not_there(notes):
    assert await notes.get_by_id(1) is None
    assert await notes.get_one_or_none(title="x") is None
    with pytest.raises(NotFoundError, match="no Note with id 1") as missing:
        await notes.get_one(1)
    assert ("Note", 1) == (missing.value.model, missing.value.id)


@pytest.mark.parametrize("id_", ["x", None, 1.5, (1, 2), [1]])
async def test_an_id_of_the_wrong_type_is_refused(notes, id_):
    for method in (notes.get_by_id, notes.get_one, notes.delete, notes.purge):
        with pytest.raises(InvalidDataError):
            await method(id_)
    with pytest.raises(InvalidDataError):
        await notes.update(id_, {"title": "a"})
    with pytest.raises(InvalidDataError, match="row 1: Note"):
        await notes.get_many([1, id_])


async def test_the_only_one_that_meets_filters(notes, five):
    assert five[3] is await notes.get_one_or_none(title="n3")
    with pytest.raises(MultipleResultsFound):
        await notes.get_one_or_none(rank=0)


async def test_many_come_in_the_order_of_their_ids(notes, five):
    found = await notes.get_many([14, 10, 99, 14])

    assert [14, 10] == ids(found)
    assert [] == await notes.get_many([])


async def test_a_list_has_limits_and_filters(notes, five):
    assert [10, 11, 12, 13, 14] == ids(await notes.list())
    assert [12, 13] == ids(await notes.list(2, 2))
    assert [11, 13] == ids(await notes.list(rank=1))
    assert [] == await notes.list(0)
    for wrong in ({"limit": -1}, {"offset": -1}, {"limit": "x"}):
        with pytest.raises(InvalidDataError):
            await notes.list(**wrong)
    with pytest.raises(UnknownFieldError, match="did you mean 'title'"):
        await notes.list(titel="x")
    with pytest.raises(InvalidDataError):
        await notes.list(rank="x")


async def test_counts_and_existence(notes, five):
    assert 5 == await notes.count()
    assert 2 == await notes.count(rank__gte=1)
    assert await notes.exists(title__startswith="n")
    assert not await notes.exists(title="x")


async def test_pages_follow_each_other(notes, five):
    page = await notes.paginate(2, order_by=["-rank"], title__startswith="n")
    assert isinstance(page, Page)
    assert [11, 13] == ids(page.items)
    page = await notes.paginate(
        9, cursor=page.next_cursor, order_by=["-rank"], title__startswith="n"
    )
    assert ([10, 12, 14], False) == (ids(page.items), page.has_more)


async def test_a_stream_gives_one_after_the_other(notes, five):
    assert [11, 13] == sorted([note.id async for note in notes.stream(rank=1)])


async def test_joined_collections_are_no_obstacle(session):
    authors = BaseRepository[Author](session)
    made = await authors.create({"name": "Ada"})
    await NotesRepository(session).bulk_create(
        [{"title": "a", "author_id": made.id}, {"title": "b", "author_id": made.id}]
    )
    id_ = made.id
    session.expire(made)

    found = await authors.get_one(id_)

    assert ["a", "b"] == sorted(note.title for note in found.notes)


# --- update -------------------------------------------------------------------------


async def test_an_update_leaves_what_is_absent(notes, five):
    before = five[0].updated_at

    changed = await notes.update(10, {"title": "x"})

    assert changed is five[0]
    assert ("x", 0, 2) == (changed.title, changed.rank, changed.version)
    assert before < changed.updated_at
    assert changed is await notes.update(10, {})
    assert 2 == changed.version


async def test_an_update_of_nobody(notes):
    with pytest.raises(NotFoundError):
        await notes.update(1, {"title": "a"})


@pytest.mark.parametrize("data", [{"titel": "a"}, {"title": None}, {"title": 5}])
async def test_an_update_that_does_not_fit_changes_nothing(notes, five, data):
    with pytest.raises((UnknownFieldError, InvalidDataError)):
        await notes.update(10, {"rank": 9} | data)
    assert (0, 1) == (five[0].rank, five[0].version)


async def test_a_version_that_was_expected(notes, five):
    await notes.update(10, {"rank": 1}, expected_version=1)
    await notes.update(10, {"rank": 2, "version": 2})

    for data, options in (
        ({"rank": 3}, {"expected_version": 2}),
        ({"rank": 3, "version": 2}, {}),
    ):
        with pytest.raises(StaleRecordError) as stale:
            await notes.update(10, data, **options)
        assert (10, 2, 3) == (stale.value.id, stale.value.expected, stale.value.found)
    assert (2, 3) == (five[0].rank, five[0].version)


async def test_a_flush_notices_what_others_changed(notes, five):
    await notes.session.execute(
        sa.update(Note).where(Note.id == 10).values(version=7),
        execution_options={"synchronize_session": False},
    )
    with pytest.raises(StaleRecordError) as stale:
        await notes.update(10, {"rank": 3})
    assert (10, 1, None) == (stale.value.id, stale.value.expected, stale.value.found)


async def test_no_version_is_expected_of_a_model_without_one(session):
    places = BaseRepository[Place](session)
    await places.create({"x": 1, "y": "a", "name": "home"})
    with pytest.raises(InvalidDataError, match="VersionMixin"):
        await places.update((1, "a"), {"name": "b"}, expected_version=1)


async def test_a_version_that_is_no_number(session):
    stamped = BaseRepository[Stamped](session)
    made = await stamped.create({"text": "a"})
    first = made.stamp

    await stamped.update(made.id, {"text": "b"}, expected_version=first)
    second = made.stamp
    assert 1 == await stamped.bulk_update([{"id": made.id, "text": "c"}])

    assert 3 == len({first, second, made.stamp})
    with pytest.raises(StaleRecordError):
        await stamped.bulk_update([{"id": made.id, "text": "d", "stamp": first}])
    assert all(each.stamp for each in await stamped.bulk_create([{"text": "e"}]))


# --- upsert, delete -----------------------------------------------------------------


async def test_an_upsert_adds_and_then_changes(notes):
    made = await notes.upsert({"id": 1_000_001, "title": "a", "rank": 4})
    assert made is await notes.upsert({"id": 1_000_001, "title": "b"})
    assert ("b", 4, 2) == (made.title, made.rank, made.version)
    other = await notes.upsert({"title": "c"})
    assert made.id != other.id
    with pytest.raises(StaleRecordError):
        await notes.upsert({"id": 1_000_001, "title": "c", "version": 1})
    with pytest.raises(InvalidDataError):
        await notes.upsert({"id": 1_000_001})


async def test_an_upsert_by_other_fields(session):
    authors = BaseRepository[Author](session)
    made = await authors.create({"name": "Ada"})

    assert made is await authors.upsert({"name": "Ada"}, match=["name"])
    assert made is not await authors.upsert({"name": "Grace"}, match=["name"])
    with pytest.raises(UnknownFieldError, match="did you mean 'name'"):
        await authors.upsert({"name": "Ada"}, match=["nam"])


async def test_an_upsert_changes_nothing_by_the_defaults_of_its_schema(session):
    notes = CheckedRepository(session)
    made = await notes.upsert({"id": 3, "title": "ab", "rank": 8})

    assert made is await notes.upsert({"id": 3, "title": "cd"})
    assert ("cd", 8) == (made.title, made.rank)
    assert 1 == await notes.bulk_upsert([{"id": 3, "title": "ef"}])
    assert ("ef", 8, 3) == (made.title, made.rank, made.version)


async def test_what_is_deleted_is_gone(notes, five):
    assert await notes.delete(10)
    assert not await notes.delete(10)
    assert await notes.purge(11)
    assert not await notes.purge(11)
    assert [12, 13, 14] == ids(await notes.list())
    assert sa.inspect(five[0]).deleted
    assert 1 == await notes.delete_where(rank=1)
    with pytest.raises(InvalidDataError, match="delete_all"):
        await notes.delete_where()
    assert 2 == await notes.delete_all()
    assert 0 == await notes.delete_where(rank=1)


async def test_a_rollback_brings_a_deleted_record_back(engine):
    async with engine.transaction() as session:
        await NotesRepository(session).create({"id": 70, "title": "a"})
    async with engine.session() as session:
        notes = NotesRepository(session)
        note = await notes.get_one(70)
        await notes.delete(70)
        await session.rollback()
        assert sa.inspect(note).persistent
        assert note is await notes.get_by_id(70)
        await notes.delete(70)
        await session.commit()


async def test_what_others_need_stays(engine):
    async with engine.session() as session:
        author = await BaseRepository[Author](session).create({"name": "Ada"})
        await NotesRepository(session).create({"title": "a", "author_id": author.id})
        with pytest.raises(StillReferencedError):
            await BaseRepository[Author](session).delete(author.id)
        await session.rollback()


async def test_there_is_nothing_to_restore_without_soft_delete(notes, five):
    for id_ in (10, 1):
        with pytest.raises(InvalidDataError, match="SoftDeleteMixin"):
            await notes.restore(id_)


async def test_a_session_of_sqlalchemy_will_do():
    engine = create_async_engine("duckdb+async://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        notes = NotesRepository(session)
        made = await notes.create({"title": "a"})
        await session.commit()
        assert 2 == (await notes.update(made.id, {"rank": 2})).version
        assert isinstance(notes.base_query(), QueryBuilder)
        assert [made] == await notes.list()
        assert await notes.delete(made.id)
        await session.commit()
        assert 0 == await notes.count()
    await engine.dispose()


async def test_models_that_are_dataclasses(session):
    class Plain(MappedAsDataclass, Base):
        __tablename__ = "plain"
        id: Mapped[int] = mapped_column(primary_key=True, kw_only=True)
        name: Mapped[str] = mapped_column(kw_only=True)

    connection = await session.connection()
    await connection.run_sync(Base.metadata.create_all)
    plain = BaseRepository[Plain](session)

    assert "a" == (await plain.create({"id": 99, "name": "a"})).name
    (made,) = await plain.bulk_create([{"name": "b"}])
    assert "b" == made.name
