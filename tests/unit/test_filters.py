"""
Lookups that are taken, and those that are refused.
"""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import uuid
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from project_architect_db.errors import InvalidDataError, UnknownFieldError
from project_architect_db.orm.filters import any_of, conditions
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_fields import visible


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "red"


class Even(sa.types.TypeDecorator):
    """
    A type that refuses odd numbers.
    """

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if value % 2:
            raise AttributeError("odd")
        return value


class Anything(sa.types.UserDefinedType):
    """
    A type that says nothing about its values.
    """

    cache_ok = True


class Owner(Base):
    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    things: Mapped[list[Thing]] = relationship(back_populates="owner")


class Thing(Base):
    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owners.id"))
    name: Mapped[str]
    odd__name: Mapped[str]
    color: Mapped[Color]
    state: Mapped[str] = mapped_column(sa.Enum("new", "old"))
    score: Mapped[float]
    price: Mapped[Decimal]
    flag: Mapped[bool]
    token: Mapped[uuid.UUID]
    key: Mapped[str] = mapped_column(sa.Uuid(as_uuid=False))
    day: Mapped[dt.date]
    hour: Mapped[dt.time]
    naive: Mapped[dt.datetime]
    aware: Mapped[dt.datetime] = mapped_column(sa.DateTime(timezone=True))
    blob: Mapped[bytes]
    length: Mapped[dt.timedelta] = mapped_column(sa.Interval)
    even: Mapped[int] = mapped_column(Even)
    any: Mapped[object] = mapped_column(Anything)
    data: Mapped[dict] = mapped_column(sa.JSON)
    _hidden: Mapped[str]
    owner: Mapped[Owner | None] = relationship(back_populates="things")

    @hybrid_property
    def loud(self):
        return self.name.upper()

    @hybrid_property
    def constant(self):
        return 5


def value_of(**lookup):
    """
    The value that a lookup binds.
    """
    (condition,) = conditions(Thing, lookup)
    return condition.compile().params.popitem()[1]


TOKEN = uuid.UUID(int=7)
PLUS_ONE = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("field", "given", "bound"),
    [
        ("id", 5, 5),
        ("odd__name", "x", "x"),
        ("score", 5, 5),
        ("score", Decimal("1.00000000000000001"), 1.0),
        ("price", 1.5, 1.5),
        ("token", str(TOKEN), TOKEN),
        ("key", TOKEN, str(TOKEN)),
        ("day", "2026-01-02", dt.date(2026, 1, 2)),
        ("hour", "01:02", dt.time(1, 2)),
        ("hour", dt.time(1), dt.time(1)),
        ("naive", dt.datetime(2026, 1, 1, 1, tzinfo=PLUS_ONE), dt.datetime(2026, 1, 1)),
        ("naive", "2026-01-01", dt.datetime(2026, 1, 1)),
        ("aware", dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        ("aware", dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        ("blob", b"x", b"x"),
        ("length", dt.timedelta(1), dt.timedelta(1)),
        ("color", Color.RED, Color.RED),
        ("color", "RED", Color.RED),
        ("color", "red", Color.RED),
        ("id", "+7", 7),
        ("id", " -5.0 ", -5),
        ("id", 1.0, 1),
        ("id", Decimal(2), 2),
        ("score", "1.5", 1.5),
        ("price", "1.50", Decimal("1.50")),
        ("even", 2, 2),
        ("any", object, object),
    ],
)
def test_a_value_that_fits_is_taken(field, given, bound):
    found = value_of(**{field: given})

    assert (bound, type(bound)) == (found, type(found))


@pytest.mark.parametrize(
    ("lookup", "value"),
    [
        ("name", 5),
        ("name", b"x"),
        ("name", "\ud800"),
        ("id", "5x"),
        ("id", "١"),
        ("id", True),
        ("id", 1.5),
        ("id", float("nan")),
        ("id", 2**127),
        ("score", "one"),
        ("score", 2**127),
        ("price", Decimal("NaN")),
        ("price", Decimal("0.12345678901")),
        ("flag", 2),
        ("flag", 1.0),
        ("token", "nonsense"),
        ("token", 5),
        ("key", "nonsense"),
        ("day", "nonsense"),
        ("day", dt.datetime(2026, 1, 1)),
        ("hour", 5),
        ("aware", "nonsense"),
        ("aware", 5),
        ("aware", dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=1)))),
        ("blob", "x"),
        ("color", "blue"),
        ("color", 5),
        ("state", "odd"),
        ("even", 3),
        ("name__in", "text"),
        ("name__in", b"bytes"),
        ("name__in", {"a": 1}),
        ("name__in", 5),
        ("name__in", ["a", 5]),
        ("name__contains", None),
        ("name__like", 5),
        ("id__lt", None),
        ("id__gt", "x"),
        ("id__between", 5),
        ("id__between", (1,)),
        ("id__between", (1, None)),
        ("id__isnull", 1),
        ("owner", 5),
        ("owner__isnull", None),
        ("owner__isnull", "x"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(lookup, value):
    with pytest.raises(InvalidDataError) as raised:
        conditions(Thing, {lookup: value})

    error = raised.value
    assert ("Thing", lookup) == (error.model, error.field)
    assert error.value is value
    assert str(error).startswith(f"Thing.{lookup}: ")


@pytest.mark.parametrize(
    ("lookup", "model", "suggestion"),
    [
        ("nam", "Thing", "name"),
        ("name__contain", "Thing", "name__contains"),
        ("name__lower__contains", "Thing", "name__contains"),
        ("id__contains", "Thing", None),
        ("owner__nam", "Owner", "name"),
        ("owner__things__scor", "Thing", "score"),
        ("owner__", "Owner", None),
        ("", "Thing", None),
        ("__", "Thing", None),
        ("zzz", "Thing", None),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(lookup, model, suggestion):
    with pytest.raises(UnknownFieldError) as raised:
        conditions(Thing, {lookup: 1})

    assert (model, suggestion) == (raised.value.model, raised.value.suggestion)
    assert ("there are id" in str(raised.value)) is (suggestion is None)


@pytest.mark.parametrize("name", ["loud", "constant"])
def test_a_hybrid_that_only_python_computes_is_refused(name):
    things = QueryBuilder(Thing, AsyncSession())
    for call in (
        lambda: conditions(Thing, {name: "X"}),
        lambda: conditions(Thing, {f"{name}__in": ["X"]}),
        lambda: things.order_by(name),
        lambda: things.group_by(name),
        lambda: things.order_by(f"{name}__key"),
    ):
        with pytest.raises(InvalidDataError, match=r"give the hybrid .* \.expression"):
            call()


def test_names_that_begin_with_an_underscore_are_not_offered():
    with pytest.raises(UnknownFieldError) as raised:
        conditions(Thing, {"zzz": 1})
    assert "_hidden" not in str(raised.value)
    with pytest.raises(UnknownFieldError) as raised:
        conditions(Thing, {"_hiden": 1})
    assert "_hidden" not in str(raised.value)
    assert 1 == len(conditions(Thing, {"_hidden": "x"}))


def test_text_is_escaped_and_bound():
    (condition,) = conditions(Thing, {"name__contains": "5%_/'"})

    assert {"name_1": "5/%/_//'"} == dict(condition.compile().params)
    assert "ESCAPE '/'" in str(condition)


def test_nothing_is_given_for_nothing():
    assert [] == conditions(Thing, {})
    assert [] == visible(Thing)
    assert "false" == str(any_of().on(Thing))


def test_errors_can_be_pickled():
    with pytest.raises(UnknownFieldError) as raised:
        conditions(Thing, {"nam": 1})
    assert str(raised.value) == str(pickle.loads(pickle.dumps(raised.value)))
