"""
What fits a column, and what does not.
"""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import (
    BaseModel,
    Field,
    computed_field,
    field_serializer,
    field_validator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db.errors import InvalidDataError, UnknownFieldError
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.json_types import declared_schema

UTC = dt.UTC
WEST = dt.timezone(-dt.timedelta(hours=1))
EAST = dt.timezone(dt.timedelta(hours=1))
UUID = uuid.UUID(int=1)


class Base(DeclarativeBase):
    pass


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    red = "the value of this name is another one's"


TYPES = {
    "text": sa.String(3),
    "long": sa.Text(),
    "small": sa.SmallInteger(),
    "smallint": sa.SMALLINT(),
    "integer": sa.INTEGER(),
    "big": sa.BigInteger(),
    "bigint": sa.BIGINT(),
    "flag": sa.Boolean(),
    "ratio": sa.Float(),
    "exact": sa.Float(asdecimal=True),
    "price": sa.Numeric(5, 2),
    "digits": sa.Numeric(),
    "approx": sa.Numeric(5, 2, asdecimal=False),
    "day": sa.Date(),
    "hour": sa.Time(),
    "span": sa.Interval(),
    "at": sa.DateTime(timezone=True),
    "naive": sa.DateTime(),
    "blob": sa.LargeBinary(),
    "token": sa.Uuid(),
    "token_text": sa.Uuid(as_uuid=False),
    "color": sa.Enum(Color),
    "state": sa.Enum("open", "done"),
    "tags": sa.ARRAY(sa.String(3)),
    "grid": sa.ARRAY(sa.Integer, dimensions=2),
    "data": sa.JSON(),
    "other": sa.types.NullType(),
}


class Unsigned(sa.Integer):
    """
    An integer whose range only it knows.
    """


class Everything(Base):
    __table__ = sa.Table(
        "everything",
        Base.metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("unsigned", Unsigned),
        *(sa.Column(name, type_, nullable=True) for name, type_ in TYPES.items()),
    )


class Renamed(Base):
    __tablename__ = "renamed"

    id: Mapped[int] = mapped_column("key", primary_key=True)
    name: Mapped[str] = mapped_column("label", default="x")
    copied: Mapped[str] = mapped_column(
        default=lambda context: context.current_parameters["label"]
    )
    data: Mapped[Any] = mapped_column(sa.JSON, nullable=True)


class Named(Base):
    __tablename__ = "named"

    name: Mapped[str] = mapped_column(primary_key=True)
    twice: Mapped[str] = mapped_column(sa.Computed("name || name"))


FITS = [
    ("text", "abc", "abc"),
    ("text", "ünï", "ünï"),
    ("long", "x" * 10_000, "x" * 10_000),
    ("small", 2**15 - 1, 2**15 - 1),
    ("integer", -(2**31), -(2**31)),
    ("integer", "5", 5),
    ("big", 2**63 - 1, 2**63 - 1),
    ("unsigned", 2**40, 2**40),
    ("flag", True, True),
    ("flag", 0, False),
    ("flag", "TRUE", True),
    ("at", dt.datetime.max, dt.datetime.max.replace(tzinfo=UTC)),
    ("at", dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=UTC)),
    ("integer", 5.0, 5),
    ("ratio", Decimal("0.5"), 0.5),
    ("price", Decimal("1.005"), Decimal("1.01")),
    ("price", Decimal("-1.005"), Decimal("-1.01")),
    ("approx", 1.125, 1.13),
    ("ratio", 1, 1.0),
    ("exact", "0.1", Decimal("0.1")),
    ("price", 1.5, Decimal("1.5")),
    ("price", "999.99", Decimal("999.99")),
    ("digits", "1e20", Decimal("1e20")),
    ("approx", 0.5, 0.5),
    ("day", "2026-01-01", dt.date(2026, 1, 1)),
    ("hour", "12:00", dt.time(12)),
    ("span", 60, dt.timedelta(minutes=1)),
    ("at", dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=UTC)),
    ("at", "2026-01-01T12:00:00Z", dt.datetime(2026, 1, 1, 12, tzinfo=UTC)),
    ("at", dt.datetime(2026, 1, 1, tzinfo=EAST), dt.datetime(2026, 1, 1, tzinfo=EAST)),
    ("naive", dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1)),
    ("naive", dt.datetime(2026, 1, 1, 1, tzinfo=EAST), dt.datetime(2026, 1, 1)),
    ("blob", b"x", b"x"),
    ("token", str(UUID), UUID),
    ("token_text", str(UUID), str(UUID)),
    ("color", Color.RED, Color.RED),
    ("color", "blue", Color.BLUE),
    ("color", "BLUE", Color.BLUE),
    ("color", "red", Color.RED),
    ("state", "done", "done"),
    ("tags", ["a", None], ["a", None]),
    ("grid", [[1], []], [[1], []]),
    ("data", {"a": [1]}, {"a": [1]}),
    ("other", Ellipsis, Ellipsis),
    ("text", None, None),
]

DOES_NOT_FIT = [
    ("text", "abcd", "at most 3"),
    ("text", 5, "string"),
    ("text", "\ud800", "string"),
    ("small", 2**15, "less than"),
    ("smallint", 2**15, "less than"),
    ("integer", 2**31, "less than"),
    ("integer", 1.5, "integer"),
    ("bigint", 2**63, "less than"),
    ("flag", "x", "boolean"),
    ("ratio", "x", "number"),
    ("price", 1000, "less than"),
    ("price", "NaN", "finite"),
    ("digits", "x", "decimal"),
    ("day", "x", "date"),
    ("at", "x", "valid datetime"),
    ("at", dt.datetime.max.replace(tzinfo=WEST), "out of range"),
    ("at", dt.datetime(1, 1, 1, tzinfo=EAST), "out of range"),
    ("naive", dt.datetime.max.replace(tzinfo=WEST), "out of range"),
    ("naive", "x", "valid datetime"),
    *((name, 5, "int is not") for name in ("at", "naive", "day", "hour")),
    *((name, "5.5", "a number is no") for name in ("at", "naive", "day", "hour")),
    *(
        (name, value, f"{type(value).__name__} is not")
        for name in ("integer", "big", "unsigned", "ratio")
        for value in (True, b"5")
    ),
    ("span", True, "bool is not"),
    ("price", True, "Decimal input"),
    ("price", Decimal("999.995"), "not less than 1000"),
    ("approx", 999.999, "not less than 1000"),
    ("text", b"abc", "string"),
    ("flag", "yes", "boolean"),
    ("flag", 7, "boolean"),
    ("flag", 1.0, "boolean"),
    ("grid", [[True]], "bool is not"),
    ("token", "x", "UUID"),
    ("token_text", UUID, "string"),
    ("color", "green", "one of 'RED', 'BLUE'"),
    ("color", 5, "one of"),
    ("state", "x", "'open' or 'done'"),
    ("tags", ["abcd"], "at most 3"),
    ("grid", [1], "list"),
]


@pytest.mark.parametrize(("name", "value", "expected"), FITS)
def test_a_value_that_fits(name, value, expected):
    fields = fields_of(Everything)

    (created,) = fields.for_create([{name: value}])
    (updated,) = fields.for_update([{name: value}])

    assert {name: expected} == created == updated
    assert type(expected) is type(created[name])


@pytest.mark.parametrize(("name", "value", "problem"), DOES_NOT_FIT)
def test_a_value_that_does_not_fit(name, value, problem):
    with pytest.raises(InvalidDataError, match=problem) as refused:
        fields_of(Everything).for_create([{}, {name: value}])
    assert ("Everything", 1) == (refused.value.model, refused.value.index)
    assert name == refused.value.field.split(".")[0]


def test_an_enum_is_told_by_its_values_before_its_names():
    (row,) = fields_of(Everything).for_create([{"color": "red"}])
    assert Color.RED is row["color"]


def test_the_fields_of_a_model_are_found_once():
    fields = fields_of(Renamed)

    assert fields is fields_of(Renamed)
    assert (("id",), None, ["id", "name", "copied", "data"]) == (
        fields.key, fields.version, [*fields.columns],
    )  # fmt: skip


def test_defaults_see_the_row_by_the_names_of_columns():
    row = {"name": "a"}
    fields_of(Renamed).add_defaults(row)
    assert {"name": "a", "copied": "a"} == row
    row = {"copied": "b"}
    fields_of(Renamed).add_defaults(row)
    assert {"copied": "b", "name": "x"} == row


def test_rows_by_the_names_of_columns():
    rows = [{"id": 1, "name": "a"}]
    assert [{"key": 1, "label": "a"}] == fields_of(Renamed).by_column(rows)
    assert rows is fields_of(Named).by_column(rows)


def test_a_computed_column_cannot_be_written():
    fields = fields_of(Named)
    with pytest.raises(InvalidDataError, match=r"twice: the database computes it"):
        fields.for_create([{"name": "a", "twice": "aa"}])
    with pytest.raises(UnknownFieldError, match=r"there are name$"):
        fields.for_create([{"name": "a", "twic": "aa"}])
    assert [{"name": "a"}] == fields.for_create([{"name": "a"}])
    assert (True, False) == tuple(map(fields.is_made_by_database, ("twice", "name")))


def test_any_mapping_will_do():
    row = MappingProxyType({"name": "a"})
    for check in (fields_of(Named).for_create, fields_of(Named).for_update):
        assert [{"name": "a"}] == check([row])


@pytest.mark.parametrize("row", [5, None, "name", ["name"], {1: "a"}])
def test_what_is_no_row_is_refused(row):
    for check in (fields_of(Named).for_create, fields_of(Named).for_update):
        with pytest.raises(InvalidDataError, match="row 0: Named"):
            check([row])


def test_a_misspelt_field_comes_before_the_one_that_is_missing():
    with pytest.raises(UnknownFieldError, match="did you mean 'name'") as refused:
        fields_of(Named).for_create([{"nam": "a"}], first=None)
    assert refused.value.index is None


def test_a_field_like_no_other_is_refused_with_all_there_are():
    with pytest.raises(
        UnknownFieldError, match=r"row 11: .*there are name$"
    ) as refused:
        fields_of(Named).for_create([{"name": "a"}, {"xyz": 1}], first=10)
    assert 11 == refused.value.index


def test_more_problems_are_counted():
    with pytest.raises(InvalidDataError, match="and 1 more problem"):
        fields_of(Everything).for_create([{"integer": "x", "flag": "x"}])


def test_keys_of_ids():
    fields = fields_of(Named)

    assert [("a",), ("b",)] == fields.keys_of(["a", ("b",)])
    with pytest.raises(InvalidDataError, match=r"row 6: Named.name: expected 1 values"):
        fields.keys_of(["a", ("b", "c")], first=5)
    with pytest.raises(InvalidDataError, match=r"^Named\.name: "):
        fields.keys_of([5], first=None)
    with pytest.raises(InvalidDataError, match=r"^Named\.name: "):
        fields.keys_of([()], first=None)


def test_an_annotation_that_only_type_checkers_know_says_nothing():
    class Model:
        data: Mapped[Nowhere]  # type: ignore[name-defined]  # noqa: F821
        bare: Mapped

    anything = {"type": "any"}
    assert anything == declared_schema(Model, "data") == declared_schema(Model, "bare")


# --- schemas ------------------------------------------------------------------------


class Inside(BaseModel):
    day: dt.date
    color: Color = Color.RED


class RenamedCreate(BaseModel):
    name: str = Field("from the schema", alias="Name")
    copied: str | None = None
    data: Inside | list[Inside] | None = None

    @computed_field
    @property
    def length(self) -> int:
        return len(self.name)

    @field_serializer("name")
    def shout(self, name: str) -> str:
        return name.upper()


def test_a_schema_gives_its_fields_and_nothing_else():
    fields = fields_of(Renamed, RenamedCreate)

    inside = {"day": "2026-01-01"}
    rows = fields.for_create([{"Name": "a", "data": inside}, {"data": [inside]}])

    stored = {"day": "2026-01-01", "color": "red"}
    assert [
        {"name": "a", "data": stored},
        {"name": "from the schema", "data": [stored]},
    ] == rows


def test_a_null_that_was_given_is_kept():
    fields = fields_of(Renamed, RenamedCreate)
    with pytest.raises(InvalidDataError, match=r"Renamed\.copied: "):
        fields.for_create([RenamedCreate(copied=None)])
    assert [{"name": "from the schema", "data": None}] == fields.for_create(
        [RenamedCreate(data=None)]
    )


def test_an_update_has_what_was_given_and_which_row_it_is():
    fields = fields_of(Renamed, None, RenamedCreate)

    assert [{"id": 1, "name": "a"}, {"data": None}, {}] == fields.for_update(
        [{"id": 1, "Name": "a"}, RenamedCreate(data=None), {}]
    )
    with pytest.raises(InvalidDataError, match=r"row 1: RenamedCreate\.Name"):
        fields.for_update([{}, {"Name": 5}])
    with pytest.raises(InvalidDataError, match="row 0: RenamedCreate"):
        fields.for_update([5])


def test_an_upsert_knows_what_was_given():
    (given,) = fields_of(Renamed, RenamedCreate).for_upsert([{"id": 1, "Name": "a"}])
    assert ({"id": 1, "name": "a"}, {"id", "name"}) == (given.row, {*given.names})
    (given,) = fields_of(Renamed, RenamedCreate).for_upsert([{"id": 1}])
    assert ("from the schema", {"id"}) == (given.row["name"], {*given.names})
    (given,) = fields_of(Renamed).for_upsert([{"id": 1, "name": "b", "copied": "c"}])
    assert {"id", "name", "copied"} == {*given.names}


def test_a_schema_that_changes_its_mind_has_the_last_word():
    seen = []

    class Moody(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def refuse_once(cls, name: str) -> str:
            seen.append(name)
            if len(seen) == 1:
                raise ValueError("not now")
            return name

    assert [{"name": "a"}] == fields_of(Named, Moody).for_create([{"name": "a"}])


def test_another_mapping_is_checked_by_a_schema_too():
    row = MappingProxyType({"Name": "a"})
    assert [{"name": "a"}] == fields_of(Renamed, RenamedCreate).for_create([row])
