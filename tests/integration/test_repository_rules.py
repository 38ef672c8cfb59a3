"""
What repositories refuse and keep: versions, values, relationships, other people's work.
"""

from __future__ import annotations

import datetime as dt
import pickle
import uuid
from decimal import Decimal
from typing import Any, TypedDict

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
    validates,
)

from project_architect_db import DatabaseEngine, Schema
from project_architect_db.base import Base as LibraryBase
from project_architect_db.base import SoftDeleteMixin, VersionMixin
from project_architect_db.errors import (
    ConfigurationError,
    ConstraintError,
    DuplicateError,
    InvalidDataError,
    InvalidValueError,
    NotFoundError,
    StaleRecordError,
    UnknownFieldError,
    UnsupportedOperationError,
)
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.testing import RowFactory
from project_architect_db.tracked_json import track_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    type_annotation_map = LibraryBase.type_annotation_map


track_json(Base)


class Counted(VersionMixin, Base):
    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    n: Mapped[int] = mapped_column(default=0)


class Number(sa.types.TypeDecorator):
    impl = sa.Integer
    cache_ok = True


class Decorated(Base):
    """
    A version of a type that only its own code knows.
    """

    __tablename__ = "decorated"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(Number)
    __mapper_args__ = {"version_id_col": version}


class Tens(Base):
    """
    Versions that take steps of ten.
    """

    __tablename__ = "tens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {
        "version_id_col": version, "version_id_generator": lambda v: (v or 0) + 10,
    }  # fmt: skip


class Manual(Base):
    """
    A version that the app sets.
    """

    __tablename__ = "manual"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}


class Underlined(Base):
    __tablename__ = "underlined"

    id: Mapped[int] = mapped_column("_id", primary_key=True)
    name: Mapped[str]
    _name: Mapped[str | None] = mapped_column("__name")


class Options(TypedDict, total=False):
    color: str


class Boxed(Base):
    """
    JSON of many kinds.
    """

    __tablename__ = "boxed"

    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[dict[str, Any] | None]
    items: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    names: Mapped[list[str] | None]
    plain: Mapped[dict] = mapped_column(sa.JSON, default=dict)  # type: ignore[type-arg]
    either: Mapped[list[int] | str | None] = mapped_column(sa.JSON)
    optional: Mapped[list[int | None] | None] = mapped_column(sa.JSON)
    options: Mapped[Options | None] = mapped_column(sa.JSON)
    unknown = mapped_column(sa.JSON(none_as_null=True), default=1, nullable=False)
    day: Mapped[dt.date | None] = mapped_column(sa.JSON)
    size: Mapped[int] = mapped_column(default=0)
    code: Mapped[str | None] = mapped_column(unique=True)
    left: Mapped[int | None]
    right: Mapped[int | None]
    __table_args__ = (
        sa.CheckConstraint("size >= 0", name="positive"),
        sa.CheckConstraint("id < 100 or json_valid(id)", name="odd"),
        sa.UniqueConstraint("left", "right"),
        sa.Index("by_plain", "size"),
    )


class Parent(SoftDeleteMixin, Base):
    __tablename__ = "parents"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    children: Mapped[list[Child]] = relationship(
        back_populates="parent", lazy="selectin"
    )
    seen: Mapped[list[Child]] = relationship(lazy="joined", viewonly=True)
    favorite: Mapped[Favorite | None] = relationship(lazy="selectin")


class Child(Base):
    __tablename__ = "children"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(sa.ForeignKey("parents.id"))
    parent: Mapped[Parent | None] = relationship(
        back_populates="children", lazy="joined"
    )


class Favorite(Base):
    __tablename__ = "favorites"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"))


class Careful(Base):
    """
    It has rules of its own.
    """

    __tablename__ = "careful"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[str | None]

    @validates("name", "note")
    def check(self, key, value):
        if value == "ours":
            raise InvalidDataError("no", model="Careful", field="x", value=1)
        if value == "bad":
            raise ValueError("it is bad")
        return value and value.strip() + "!"


class Classy(MappedAsDataclass, Base):
    __tablename__ = "classy"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    hint: Mapped[str | None]
    number: Mapped[int] = mapped_column(server_default="5")
    extra: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    status: Mapped[str] = mapped_column(default="draft")


class Worker(Base):
    __tablename__ = "workers"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "worker"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]


class Manager(VersionMixin, Worker):
    __tablename__ = "managers"
    __mapper_args__ = {"polymorphic_identity": "manager"}

    id: Mapped[int] = mapped_column(sa.ForeignKey("workers.id"), primary_key=True)
    level: Mapped[int]


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


VERSIONED = [(Counted, 1, 1), (Decorated, 1, 1), (Tens, 10, 10)]


# --- versions -----------------------------------------------------------------------


@pytest.mark.parametrize(("model", "first", "step"), VERSIONED)
async def test_each_road_counts_a_version_alike(session, model, first, step):
    records = BaseRepository[model](session)
    made = await records.create({"name": "a"})
    (other,) = await records.bulk_create([{"name": "b"}])
    assert (first, first) == (made.version, other.version)

    await records.update(made.id, {"name": "c"})
    await records.bulk_update([{"id": made.id, "name": "d"}])
    await records.bulk_upsert([{"id": made.id, "name": "e"}, {"name": "new"}])
    assert ("e", first + 3 * step) == (made.name, made.version)
    await records.bulk_upsert([{"id": made.id, "name": "f"}] * 2)
    assert first + 5 * step == made.version
    new = await records.get_one_or_none(name="new")
    assert first == new.version


@pytest.mark.parametrize(("model", "first", "step"), VERSIONED)
async def test_a_new_record_has_the_first_version_whatever_it_says(
    session, model, first, step
):
    records = BaseRepository[model](session)
    made = await records.create({"name": "a", "version": 99})
    (other,) = await records.bulk_create([{"name": "b", "version": 99}])
    await records.bulk_upsert([{"name": "c", "version": 99}], match="name")

    assert (first, first) == (made.version, other.version)
    assert first == (await records.get_one_or_none(name="c")).version
    await records.bulk_upsert([{"name": "c", "version": first}], match="name")
    with pytest.raises(StaleRecordError):
        await records.bulk_update([{"id": made.id, "version": 99, "name": "x"}])


async def test_a_version_that_the_app_sets_does_not_count(session):
    records = BaseRepository[Manual](session)
    made = await records.create({"name": "a", "version": 7})
    await records.bulk_update([{"id": made.id, "name": "b"}])
    await records.bulk_upsert([{"id": made.id, "name": "c", "version": 7}])
    await records.update(made.id, {"name": "d"})

    assert ("d", 7) == (made.name, made.version)
    (other,) = await records.bulk_create([{"name": "e", "version": 8}])
    assert 8 == other.version


async def test_a_version_counts_for_whatever_tells_the_row(session):
    records = BaseRepository[Counted](session)
    made = await records.create({"name": "a"})
    await records.update(made.id, {"n": 1})

    rows = [{"name": "z"}, {"name": "a", "n": 99, "version": 1}]
    with pytest.raises(StaleRecordError) as stale:
        await records.bulk_upsert(rows, match=["name"])
    found = (stale.value.id, stale.value.expected, stale.value.found)
    assert (made.id, 1, 2) == found
    assert 1 == stale.value.index
    assert 1 == await records.bulk_upsert([rows[1] | {"version": 2}], match="name")
    assert (99, 3) == (made.n, made.version)


async def test_two_versions_have_to_agree(session):
    records = BaseRepository[Counted](session)
    made = await records.create({"name": "a"})

    with pytest.raises(InvalidDataError, match="the data says version 1"):
        await records.update(made.id, {"n": 1, "version": 1}, expected_version=2)
    await records.update(made.id, {"n": 1, "version": 1}, expected_version="1")
    await records.update(made.id, {"n": 2}, expected_version="2")
    with pytest.raises(InvalidDataError) as refused:
        await records.update(made.id, {"n": 3}, expected_version="x")
    assert "expected_version" == refused.value.field
    assert (2, 3) == (made.n, made.version)


@pytest.mark.parametrize("model", [Counted, Parent])
async def test_a_delete_may_expect_a_version(session, model):
    records = BaseRepository[model](session)
    made = await records.create({"name": "a"})
    if model is Parent:
        with pytest.raises(InvalidDataError, match="VersionMixin"):
            await records.delete(made.id, expected_version=1)
        return
    with pytest.raises(StaleRecordError):
        await records.delete(made.id, expected_version=2)
    assert await records.delete(made.id, expected_version=1)
    assert not await records.delete(made.id, expected_version=1)


async def test_a_base_class_does_not_pass_by_the_versions_of_another(session):
    workers = BaseRepository[Worker](session)
    managers = BaseRepository[Manager](session)
    boss = await managers.create({"name": "a", "level": 1})
    worker = await workers.create({"name": "b"})

    for refused in (workers.bulk_update, workers.bulk_upsert):
        with pytest.raises(UnsupportedOperationError, match="rows of Manager"):
            await refused([{"id": boss.id, "name": "x"}])
        assert 1 == await refused([{"id": worker.id, "name": "y"}])
    assert ("a", "y", 1) == (boss.name, worker.name, boss.version)
    assert 1 == await workers.bulk_upsert([{"name": "new"}])


@pytest_asyncio.fixture(loop_scope="module")
async def two(engine):
    """
    Two records, and somebody else's change of the first one.
    """
    async with engine.transaction() as session:
        records = BaseRepository[Counted](session)
        made = await records.bulk_create([{"name": "first"}, {"name": "second"}])
    async with engine.transaction() as session:
        await BaseRepository[Counted](session).update(made[0].id, {"n": 1})
    yield made
    async with engine.transaction() as session:
        await BaseRepository[Counted](session).delete_all()


@pytest.mark.parametrize("method", ["update", "create", "upsert", "delete", "bulk"])
async def test_a_stale_record_is_named_whoever_flushes_it(engine, two, method):
    stale, other = two
    work = {
        "update": lambda r: r.update(other.id, {"n": 5}),
        "create": lambda r: r.create({"name": "third"}),
        "upsert": lambda r: r.upsert({"id": other.id, "name": "x"}),
        "delete": lambda r: r.delete(other.id),
        "bulk": lambda r: r.bulk_update([{"id": other.id, "n": 5}]),
    }[method]
    async with engine.session() as session:
        session.add_all(two)
        stale.n = 7
        with pytest.raises(StaleRecordError) as refused:
            await work(BaseRepository[Counted](session))
        named = (refused.value.id, refused.value.expected, refused.value.found)
        assert (stale.id, 1, 2) == named
        session.expunge_all()
        await session.rollback()


async def read_all(session):
    async for _ in BaseRepository[Counted](session).stream():
        pass


FLUSHES = {
    "flush": lambda session: session.flush(),
    "commit": lambda session: session.commit(),
    "a query": lambda session: session.execute(sa.select(Counted)),
    "a count": lambda session: BaseRepository[Counted](session).count(),
    "a stream": read_all,
}


@pytest.mark.parametrize("how", FLUSHES)
async def test_a_stale_record_is_named_by_whatever_flushes_it(engine, two, how):
    stale, _ = two
    expected = ("Counted", stale.id, 1)
    async with engine.session() as session:
        session.add_all(two)
        stale.n = 7
        with pytest.raises(
            StaleRecordError, match="to have version 1 and has not"
        ) as e:
            await FLUSHES[how](session)
        assert expected == (e.value.model, e.value.id, e.value.expected)
        await session.rollback()
        session.expunge_all()


async def test_of_several_stale_records_all_are_named(engine, two):
    expected = {record.id for record in two}
    async with engine.session() as session:
        session.add_all(two)
        for record in two:
            record.n = 7
        with pytest.raises(StaleRecordError, match="was changed or deleted") as refused:
            await session.flush()
        assert expected == set(refused.value.id)
        await session.rollback()
        session.expunge_all()


async def test_a_record_without_versions_that_is_gone_is_named(engine):
    async with engine.transaction() as session:
        child = await BaseRepository[Child](session).create({"name": "a"})
    async with engine.transaction() as session:
        await session.execute(sa.delete(Child))
    async with engine.session() as session:
        session.add(child)
        child.name = "b"
        with pytest.raises(StaleRecordError, match=r"Child \d+ was changed or deleted"):
            await session.flush()
        await session.rollback()
        session.expunge_all()


async def test_what_else_was_changed_is_flushed_first(session):
    records = BaseRepository[Counted](session)
    made = await records.bulk_create([{"name": "a"}, {"name": "b"}, {"name": "c"}])
    made[0].n = 3
    made[2].n = 0  # as it is
    await session.delete(made[1])
    child = await BaseRepository[Child](session).create({"name": "a"})
    child.name = "b"

    await records.update(made[0].id, {"name": "d"})

    assert (3, "d", 3) == (made[0].n, made[0].name, made[0].version)
    assert 2 == await records.count()


# --- values -------------------------------------------------------------------------

WRONG = [
    ("data", "text", "data"), ("data", 5, "data"), ("data", [1], "data"),
    ("data", {1: 2}, "data.1.[key]"), ("items", {"a": 1}, "items"),
    ("items", None, "items"), ("items", [1], "items.0"), ("names", [1], "names.0"),
    ("plain", [1], "plain"), ("either", 1.5, "either"),
    ("optional", ["a"], "optional.0"),
    ("options", [1], "options"), ("unknown", None, "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "field"), WRONG)
async def test_json_is_what_its_annotation_says(session, name, value, field):
    boxes = BaseRepository[Boxed](session)
    made = await boxes.create({})
    row = {name: value}
    for work in (
        boxes.create(row),
        boxes.update(made.id, row),
        boxes.upsert({"id": made.id} | row),
        boxes.bulk_create([row]),
        boxes.bulk_update([{"id": made.id} | row]),
        boxes.bulk_upsert([row]),
    ):
        with pytest.raises(InvalidDataError) as refused:
            await work
        assert ("Boxed", field) == (refused.value.model, refused.value.field)


async def test_json_that_fits(session):
    row = {
        "data": {"a": [1]}, "items": [{"a": 1}], "names": ["a"], "plain": {"x": 1},
        "either": "text", "optional": [1, None], "options": {"color": "red"},
        "unknown": [1], "day": "2026-01-01",
    }  # fmt: skip
    boxes = BaseRepository[Boxed](session)
    made = await boxes.create(row)
    (other,) = await boxes.bulk_create([row | {"either": [1]}])
    session.expire_all()

    await boxes.list()
    assert row == {name: getattr(made, name) for name in row}
    assert [1] == other.either


NOT_JSON = [{"x": {1}}, {"x": "\ud800"}, {"x": dt.date(2026, 1, 1)}]


@pytest.mark.parametrize("value", NOT_JSON)
async def test_what_json_cannot_say_is_refused_before_anything_is_written(
    session, value
):
    boxes = BaseRepository[Boxed](session)
    made = await boxes.create({"size": 1})
    for work in (
        boxes.create({"data": value}),
        boxes.update(made.id, {"size": 2, "data": value}),
        boxes.upsert({"id": made.id, "data": value}),
        boxes.upsert({"data": value}),
    ):
        with pytest.raises(InvalidDataError) as refused:
            await work
        assert ("Boxed", "data") == (refused.value.model, refused.value.field)
    await session.flush()
    assert (1, 1) == (made.size, await boxes.count())


@pytest.mark.parametrize("value", NOT_JSON)
@pytest.mark.parametrize("method", ["bulk_create", "bulk_upsert", "bulk_update"])
async def test_the_row_that_json_cannot_say_is_named(session, method, value):
    boxes = BaseRepository[Boxed](session)
    rows = [{"id": n, "size": n} for n in range(1, 10)]
    if method == "bulk_update":
        await boxes.bulk_create(rows)
    rows[7] = {"id": 8, "data": value}
    with pytest.raises(InvalidDataError) as refused:
        await getattr(boxes, method)(rows)
    assert (7, "data") == (refused.value.index, refused.value.field)


async def test_a_number_is_rounded_alike_everywhere(engine):
    class Priced(Base):
        __tablename__ = "priced"
        id: Mapped[int] = mapped_column(primary_key=True)
        price: Mapped[Decimal] = mapped_column(sa.Numeric(5, 2))

    await engine.create_all()
    async with engine.session() as session:
        prices = BaseRepository[Priced](session)
        one = await prices.create({"price": Decimal("1.005")})
        (two,) = await prices.bulk_create([{"price": "1.005"}])
        assert [Decimal("1.01")] * 2 == [one.price, two.price]
        assert 2 == await prices.count(price=one.price)
        id_ = one.id
        session.expire(one)
        assert "1.01" == str((await prices.get_one(id_)).price)
        await session.rollback()


# --- the row that the database refuses ----------------------------------------------

REFUSED = {
    "twice": ({"code": "c5"}, DuplicateError, "code"),
    "there": ({"code": "old"}, DuplicateError, "code"),
    "two columns": ({"left": 1, "right": 2}, DuplicateError, "left, right"),
    "a check": ({"size": -1}, ConstraintError, "size"),
}


@pytest.mark.parametrize("method", ["bulk_create", "bulk_insert", "bulk_upsert"])
@pytest.mark.parametrize("case", REFUSED)
async def test_the_row_that_the_database_refuses_is_named(session, case, method):
    row, error, field = REFUSED[case]
    boxes = BaseRepository[Boxed](session)
    await boxes.create({"code": "old", "left": 1, "right": 2})
    rows = [{"code": f"c{n}"} for n in range(100)]
    rows[70] = rows[70] | row
    with pytest.raises(error, match="row 70: ") as refused:
        await getattr(boxes, method)(rows)
    found = (refused.value.model, refused.value.field, refused.value.index)
    assert ("Boxed", field, 70) == found


async def test_a_row_that_cannot_be_told_is_not_named(session):
    boxes = BaseRepository[Boxed](session)
    with pytest.raises(ConstraintError) as refused:
        await boxes.bulk_create([{"id": 500, "size": 1}, {"id": 501, "size": -1}])
    assert ("Boxed", 1) == (refused.value.model, refused.value.index)
    await session.rollback()
    moments = BaseRepository[Moment](session)
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(DuplicateError) as refused:
        await moments.bulk_create([{"at": now}, {"at": now}])
    assert ("Moment", None) == (refused.value.model, refused.value.index)


class Moment(Base):
    __tablename__ = "moments"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(unique=True)
    __table_args__ = (
        sa.Index("unique_sum", sa.text("(id + 1)"), unique=True),
        sa.Index("by_time", "at"),
        sa.CheckConstraint("id > 0", name="positive"),
    )


class Guarded(Base):
    """
    Its CHECK is about what the database adds.
    """

    __tablename__ = "guarded"

    id: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(server_default="-1")
    __table_args__ = (sa.CheckConstraint("n >= 0", name="positive"),)


class Lowered(sa.types.TypeDecorator):
    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.lower()


class Word(Base):
    """
    A key that comes back otherwise than it was given.
    """

    __tablename__ = "words"

    word: Mapped[str] = mapped_column(Lowered, primary_key=True)
    n: Mapped[int]


class OpaqueType(sa.types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self):
        return "INTEGER"


class Opaque(Base):
    __tablename__ = "opaque"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[Any] = mapped_column(OpaqueType)


async def test_a_check_about_what_is_not_in_the_row(session):
    with pytest.raises(ConstraintError) as refused:
        await BaseRepository[Guarded](session).bulk_create([{}, {}])
    assert ("Guarded", None) == (refused.value.model, refused.value.index)


async def test_one_record_that_the_database_refuses(session):
    with pytest.raises(ConstraintError) as refused:
        await BaseRepository[Guarded](session).create({"n": -5})
    assert ("Guarded", None) == (refused.value.model, refused.value.index)
    await session.rollback()
    with pytest.raises(InvalidValueError, match="Could not convert"):
        await BaseRepository[Opaque](session).create({"size": "x"})


async def test_a_row_whose_key_comes_back_otherwise_is_not_named(session):
    with pytest.raises(NotFoundError) as missing:
        await BaseRepository[Word](session).bulk_update([{"word": "ABC", "n": 1}])
    assert ("abc", None) == (missing.value.id, missing.value.index)


async def test_a_record_that_the_session_has_is_a_duplicate(session):
    parents = BaseRepository[Parent](session)
    made = await parents.create({"name": "a"})
    with pytest.raises(DuplicateError, match="there is a Parent with id: ") as refused:
        await parents.create({"id": made.id, "name": "b"})
    assert ("Parent", "id") == (refused.value.model, refused.value.field)
    assert 1 == await parents.count()


async def test_names_that_begin_with_underlines(session):
    records = BaseRepository[Underlined](session)
    made = await records.create({"name": "a", "_name": "b"})
    assert 1 == await records.bulk_update([{"id": made.id, "name": "c", "_name": "d"}])
    assert ("c", "d") == (made.name, made._name)
    assert 1 == await records.bulk_upsert([{"id": made.id, "name": "e", "_name": "f"}])
    assert ("e", "f") == (made.name, made._name)
    assert 1 == await records.bulk_delete([made.id])
    with pytest.raises(UnknownFieldError) as refused:
        await records.create({"nam": "a"})
    assert "name" == refused.value.suggestion
    with pytest.raises(UnknownFieldError) as refused:
        await records.create({"_nam": "a"})
    assert "_name" == refused.value.suggestion


# --- relationships ------------------------------------------------------------------


class ChildRead(Schema):
    name: str


class ParentRead(Schema):
    name: str
    children: list[ChildRead]


async def test_what_a_model_loads_eagerly_is_there_after_create(session):
    parents, children = BaseRepository[Parent](session), BaseRepository[Child](session)
    made = await parents.create({"name": "a"})
    (other,) = await parents.bulk_create([{"name": "b"}])

    for parent in (made, other):
        assert [] == ParentRead.model_validate(parent).children
        assert ([], None) == (parent.seen, parent.favorite)
    pickle.dumps(made)
    child = await children.create({"name": "c", "parent_id": made.id})
    many = await children.bulk_create(
        [{"name": "d", "parent_id": other.id}, {"name": "e"}]
    )
    assert (made, other, None) == (child.parent, many[0].parent, many[1].parent)
    assert (await children.create({"name": "f"})).parent is None


async def test_a_parent_that_the_session_has_not_is_loaded(engine):
    async with engine.session() as session:
        made = await BaseRepository[Parent](session).create({"name": "a"})
        id_ = made.id
        session.expunge_all()
        child = await BaseRepository[Child](session).create(
            {"name": "c", "parent_id": id_}
        )
        assert "a" == child.parent.name
        session.expunge_all()
        (child,) = await BaseRepository[Child](session).bulk_create(
            [{"name": "d", "parent_id": id_}]
        )
        assert "a" == child.parent.name
        await session.rollback()


async def test_children_that_come_afterwards_are_found(session):
    parents, children = BaseRepository[Parent](session), BaseRepository[Child](session)
    made = await parents.create({"name": "a"})
    await children.create({"name": "c", "parent_id": made.id})

    assert made is await parents.get_one(made.id)
    assert ["c"] == [child.name for child in made.children]
    other = await parents.create({"name": "b"})
    await children.create({"name": "d", "parent_id": other.id})
    names = await session.run_sync(lambda _: [child.name for child in other.children])
    assert ["d"] == names
    other = await parents.create({"name": "x"})
    session.add(Child(name="y", parent=other))
    await session.flush()
    assert ["y"] == [child.name for child in other.children]
    other = await parents.create({"name": "c"})
    other.children.append(Child(name="e"))
    await session.flush()
    assert 1 == await children.count(parent_id=other.id)


# --- what models say themselves -----------------------------------------------------


async def test_validators_of_a_model_are_heard(session):
    careful = BaseRepository[Careful](session)
    made = await careful.create({"name": " a "})
    many = await careful.bulk_create([{"name": " b "}, {"id": 99, "name": "c"}])
    assert ["a!", "b!", "c!"] == [made.name, *(each.name for each in many)]
    await careful.bulk_update([{"id": made.id, "name": "d"}, {"id": 99}])
    assert ("d!", "c!") == (made.name, many[1].name)
    await careful.update(made.id, {"note": "e"})
    assert "e!" == made.note

    for work, index in (
        (careful.create({"name": "bad"}), None),
        (careful.update(made.id, {"name": "x", "note": "bad"}), None),
        (careful.bulk_create([{"name": "a"}, {"name": "bad"}]), 1),
        (careful.bulk_update([{"id": made.id, "name": "bad"}]), 0),
        (careful.bulk_upsert([{"name": "bad"}]), 0),
    ):
        with pytest.raises(InvalidDataError, match="it is bad") as refused:
            await work
        assert ("Careful", index) == (refused.value.model, refused.value.index)
        assert refused.value.field == (
            "note" if "note" in str(refused.value) else "name"
        )
    assert ("d!", "e!") == (made.name, made.note)
    assert not session.sync_session.is_modified(made)
    with pytest.raises(InvalidDataError, match=r"Careful\.x: no"):
        await careful.update(made.id, {"name": "ours"})


async def test_other_errors_of_a_model_are_its_own(session):
    class Odd(Base):
        __tablename__ = "odd"
        __table_args__ = {"extend_existing": True}
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

        def __init__(self, **values):
            raise ValueError("not me")

    with pytest.raises(ValueError, match=r"^not me$"):
        await BaseRepository[Odd](session).create({"name": "a"})

    class Stubborn(Base):
        __tablename__ = "stubborn"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

        def __setattr__(self, name, value):
            if value == "x":
                raise ValueError("not this")
            super().__setattr__(name, value)

    await session.run_sync(lambda s: Stubborn.__table__.create(s.connection()))
    stubborn = BaseRepository[Stubborn](session)
    made = await stubborn.create({"name": "a"})
    with pytest.raises(ValueError, match=r"^not this$"):
        await stubborn.update(made.id, {"name": "x"})


async def test_models_that_are_dataclasses(session):
    classy = BaseRepository[Classy](session)
    made = await classy.create({"name": "a"})
    other = await classy.create({"id": 70, "name": "b", "extra": {"x": 1}})
    (many,) = await classy.bulk_create([{"name": "c"}])

    assert (70, {"x": 1}) == (other.id, other.extra)
    for each in (made, many):
        assert (None, 5, {}, "draft") == (
            each.hint, each.number, each.extra, each.status,
        )  # fmt: skip


# --- how a repository is called -----------------------------------------------------


async def test_a_model_by_its_name_alone_is_refused(session):
    with pytest.raises(ConfigurationError, match=r"BaseRepository\['Counted'\]: "):
        await BaseRepository["Counted"](session).count()
    for method in ("count", "list"):
        with pytest.raises(ConfigurationError, match="int is no model"):
            await getattr(BaseRepository[int](session), method)()
    with pytest.raises(ConfigurationError, match="is no model"):
        await BaseRepository[int](session).get_by_id(1)


async def rows_to_come():
    yield {"name": "a"}


@pytest.mark.parametrize(
    "rows", [None, 5, "ab", {"name": "a"}, ChildRead(name="a"), rows_to_come()]
)
async def test_many_are_many(session, rows):
    records = BaseRepository[Counted](session)
    for method in (
        records.bulk_create, records.bulk_insert, records.bulk_update,
        records.bulk_upsert, records.bulk_delete, records.get_many,
    ):  # fmt: skip
        with pytest.raises(InvalidDataError, match=r"Counted\.\*: ") as refused:
            await method(rows)
        assert rows is refused.value.value


async def test_a_name_alone_need_not_be_in_a_list(session):
    records = BaseRepository[Counted](session)
    await records.bulk_create([{"name": "a", "n": 1}, {"name": "b", "n": 2}])

    made = await records.upsert({"name": "a", "n": 3}, match="name")
    await records.bulk_upsert([{"name": "b", "n": 2}], match="name")
    assert 2 == await records.count()
    page = await records.paginate(order_by="-n")
    assert made is page.items[0]
    for order in ("-n", ["-n"]):
        assert [3, 2] == [each.n for each in await records.list(order_by=order)]
        assert [3, 2] == [each.n async for each in records.stream(order_by=order)]


async def test_deleted_records_can_be_asked_for(session):
    parents = BaseRepository[Parent](session)
    made = await parents.create({"name": "a"})
    await parents.delete(made.id)

    hidden = {"include_deleted": True}
    assert made is await parents.get_by_id(made.id, **hidden)
    assert made is await parents.get_one(made.id, **hidden)
    assert made is await parents.get_one_or_none(name="a", **hidden)
    assert [made] == await parents.get_many([made.id], **hidden)
    with pytest.raises(NotFoundError):
        await parents.get_one(made.id)


async def test_a_key_of_a_deleted_record_says_so(session):
    parents = BaseRepository[Parent](session)
    made = await parents.create({"name": "a"})
    await parents.delete(made.id)
    for work in (
        parents.upsert({"name": "a"}, match="name"),
        parents.bulk_upsert([{"name": "b"}, {"name": "a"}], match="name"),
        parents.create({"name": "a"}),
    ):
        with pytest.raises(DuplicateError, match="softly deleted") as refused:
            await work
        assert ("Parent", "name") == (refused.value.model, refused.value.field)
    await session.rollback()
    counted = BaseRepository[Counted](session)
    await counted.create({"name": "a"})
    with pytest.raises(DuplicateError) as refused:
        await counted.create({"name": "a"})
    assert "softly" not in str(refused.value)


async def test_sessions_with_several_engines_will_do():
    engine = create_async_engine("duckdb+async://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(binds={Base: engine}) as session:
        boxes = BaseRepository[Boxed](session)
        with pytest.raises(InvalidDataError, match="JSON"):
            await boxes.create({"data": {"x": {1}}})
        assert {"x": 1} == (await boxes.create({"data": {"x": 1}})).data
    await engine.dispose()


async def test_a_check_elsewhere_is_not_looked_into():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(
            lambda c: Base.metadata.create_all(c, tables=[Moment.__table__])
        )
    async with AsyncSession(engine) as session:
        with pytest.raises(sa.exc.IntegrityError):
            await BaseRepository[Moment](session).bulk_insert(
                [{"id": 1, "at": dt.datetime(2026, 1, 1)}] * 2
            )
    await engine.dispose()


async def test_factories_of_models_in_several_tables(session):
    factory = RowFactory(Manager)
    one = await factory.create(session)
    many = await factory.create(session, 3)

    assert 4 == len({one.id, *(each.id for each in many)})
    assert 4 == await BaseRepository[Manager](session).count()
    assert uuid.uuid4() not in many


async def test_factories_make_the_json_that_an_annotation_says(session):
    factory = RowFactory(Boxed, either=None)
    row = factory.build()
    assert [str, list, list, dict] == [
        *(type(row["names"][0]), type(row["names"])),
        *(type(row["optional"]), type(row["options"])),
    ]
    assert [int] == [type(each) for each in row["optional"]]
    assert 3 == len(await factory.create(session, 3))
    assert isinstance(RowFactory(Loose).build()["either"], float)
    assert isinstance(RowFactory(Loose).build()["items"][0], dict)


class Loose(Base):
    __tablename__ = "loose"

    id: Mapped[int] = mapped_column(primary_key=True)
    either: Mapped[float | str] = mapped_column(sa.JSON)
    items: Mapped[list[Any]]
