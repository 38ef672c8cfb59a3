"""
Every type of DuckDB goes in and comes out as it was, or is refused clearly.

By single INSERTs and by an executemany, which go different ways to the database.
"""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import INTERVAL

from project_architect_db import DatabaseEngine, InvalidValueError, StatementError
from project_architect_db.dialect import DuckDBDialect_async, types

pytestmark = pytest.mark.asyncio(loop_scope="module")

UTC = dt.UTC
INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))
NEW_YORK = ZoneInfo("America/New_York")
AWARE = sa.DateTime(timezone=True)


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Word(enum.StrEnum):
    A = "a"
    B = "b"


class Number(enum.IntEnum):
    ONE = 1
    TWO = 2


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def database():
    async with DatabaseEngine(":memory:") as engine:
        yield engine.engine


@pytest.fixture
def stored(database):
    """
    What an INSERT of each value stores: its text, its Python value.
    """
    numbers = itertools.count()

    async def store(type_, values, *, many, as_text=False):
        table = sa.Table(
            f"t{next(numbers)}",
            sa.MetaData(),
            sa.Column("i", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("v", type_),
        )
        rows = [{"i": i, "v": value} for i, value in enumerate(values)]
        async with database.connect() as connection:  # rolled back at the end
            await connection.run_sync(table.create)
            insert = table.insert()
            if as_text:
                insert = sa.text(f"INSERT INTO {table.name} VALUES (:i, :v)")
            for each in [rows] if many else rows:
                await connection.execute(insert, each)
            text = sa.cast(table.c.v, sa.String)
            found = await connection.execute(
                sa.select(text, table.c.v).order_by(table.c.i)
            )
            # No unique(): an unhashable value is a value too.
            return [text for text, _ in found.all()], await _values(connection, table)

    return store


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Kiritimati"])
async def test_a_time_is_the_same_in_every_zone_of_a_session(zone):
    moment = dt.datetime(2020, 6, 1, 12, tzinfo=dt.UTC)
    at = sa.Column("at", sa.DateTime(timezone=True), primary_key=True)
    table = sa.Table("t", sa.MetaData(), at)
    async with DatabaseEngine(":memory:", duckdb={"TimeZone": zone}) as engine:
        async with engine.transaction() as session:
            await (await session.connection()).run_sync(table.create)
            await session.execute(table.insert().values(at=moment))
        async with engine.session() as session:
            assert await session.scalar(sa.select(table.c.at)) == moment
            assert (await session.scalar(sa.select(table.c.at))).tzinfo is dt.UTC
            await session.execute(sa.text("SET TimeZone = 'Asia/Tokyo'"))
            assert await session.scalar(sa.select(table.c.at)) == moment


async def _values(connection, table):
    found = await connection.execute(sa.select(table.c.v).order_by(table.c.i))
    return list(found.scalars())


AS_THEY_ARE = {
    "boolean": (sa.Boolean(), [True, False, None]),
    "tinyint": (types.TinyInteger(), [127, -128, None]),
    "smallint": (sa.SmallInteger(), [32767, -32768]),
    "integer": (sa.Integer(), [2**31 - 1, -(2**31), 0, None]),
    "bigint": (sa.BigInteger(), [2**63 - 1, -(2**63), 0]),
    "hugeint": (types.HugeInteger(), [2**127 - 1, -(2**127), 5, None]),
    "utinyint": (types.UTinyInteger(), [255, 0]),
    "usmallint": (types.USmallInteger(), [65535, 0]),
    "uinteger": (types.UInteger(), [2**32 - 1, 0]),
    "ubigint": (types.UBigInteger(), [2**64 - 1, 0, 5]),
    "uhugeint": (types.UHugeInteger(), [2**128 - 1, 0, None]),
    "bignum": (types.BIGNUM(), [2**300, -(2**300), 0, None, 2**70]),
    "an integer enum": (sa.Integer(), [Number.ONE, Number.TWO]),
    "an integer enum and an integer": (sa.Integer(), [Number.ONE, 7]),
    "double": (sa.Float(), [float("inf"), float("-inf"), -0.0, 5e-324, 1.8e307, None]),
    "double of integers and floats": (sa.Double(), [2**60, 1.5]),
    "real": (sa.REAL(), [0.5, -1.25, float("inf"), None]),
    "decimal": (
        sa.Numeric(38, 10),
        [Decimal("1234567890123456789012345678.0123456789"), Decimal("-1E-10"), None],
    ),
    "decimal of several scales": (
        sa.Numeric(38, 10),
        [Decimal("9" * 26), Decimal("0.0000000001"), Decimal("1E+5"), Decimal("1.5")],
    ),
    "decimal of more digits together than DuckDB has": (
        sa.Numeric(38, 19),
        [Decimal("9" * 19), Decimal("0." + "1" * 19)],
    ),
    "decimal and integer": (sa.Numeric(38, 0), [10**37, Decimal(10**37), None]),
    "decimal as float": (sa.Numeric(10, 2, asdecimal=False), [1.25, None]),
    "varchar": (
        sa.Text(),
        ["a\x00b", "😀", "", None, "ü" * 9000, "'; --", "$1 :a %s"],
    ),
    "varchar of a string enum": (sa.String(), [Word.A, Word.B]),
    "varchar of a string enum and a string": (sa.String(), [Word.A, "q"]),
    "blob": (sa.LargeBinary(), [b"a\x00b\xff\\x41", b"", None]),
    "date": (sa.Date(), [dt.date.min, dt.date.max, dt.date(2024, 2, 29), None]),
    "time": (sa.Time(), [dt.time(1, 2, 3, 4), dt.time.max, dt.time.min, None]),
    "time with a zone": (
        sa.Time(timezone=True),
        [dt.time(1, 2, 3, 4, tzinfo=INDIA), dt.time(1, tzinfo=UTC), None],
    ),
    "time_ns": (types.TIME_NS(), [dt.time(1, 2, 3, 4), dt.time.max, None]),
    "timestamp": (
        sa.DateTime(),
        [dt.datetime(2024, 1, 2, 3, 4, 5, 678901), dt.datetime.min, dt.datetime.max,
         dt.datetime(9999, 12, 31, 23, 59, 59, 999998), None],
    ),
    "timestamp with a zone": (
        AWARE,
        [dt.datetime(2024, 1, 2, 3, 4, 5, 678901, UTC), None,
         dt.datetime.min.replace(tzinfo=UTC), dt.datetime.max.replace(tzinfo=UTC)],
    ),
    "timestamp_s": (types.TIMESTAMP_S(), [dt.datetime(2024, 1, 2, 3, 4, 5), None]),
    "timestamp_ms": (
        types.TIMESTAMP_MS(), [dt.datetime(2024, 1, 2, 3, 4, 5, 678000), None],
    ),
    "timestamp_ns": (
        types.TIMESTAMP_NS(),
        [dt.datetime(2024, 1, 2, 3, 4, 5, 678901), dt.datetime(1700, 1, 1), None],
    ),
    "interval": (
        sa.Interval(),
        [dt.timedelta(400, 5, 7), dt.timedelta(-3), dt.timedelta(0),
         dt.timedelta(microseconds=-1), dt.timedelta.max, dt.timedelta.min, None],
    ),
    "PostgreSQL's interval": (INTERVAL(), [dt.timedelta(400, 5, 7), None]),
    "uuid": (sa.Uuid(), [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), None]),
    "uuid as text": (sa.Uuid(as_uuid=False), [str(uuid.UUID(int=5)), None]),
    "enum": (types.ENUM("a", "it's", '"'), ["a", "it's", '"', None]),
    "enum of a string enum": (types.ENUM(Word, values_callable=list), [Word.A, Word.B]),
    "SQLAlchemy's Enum": (sa.Enum(Color), [Color.RED, Color.BLUE, None]),
    "bit": (types.BIT(), ["0101", "1", None]),
    "list": (sa.ARRAY(sa.Integer), [[1, 2], [], None, [None, 3]]),
    "list of strings": (sa.ARRAY(sa.String), [["a", "b\x00", "😀"], [None], None]),
    "list of lists": (sa.ARRAY(sa.Integer, dimensions=2), [[[1], [2, 3]], [[]], []]),
    "list of empty lists": (sa.ARRAY(sa.Integer), [[], []]),
    "list of enums": (sa.ARRAY(sa.Enum(Color)), [[Color.RED, None], [Color.BLUE]]),
    "list of uuids": (sa.ARRAY(sa.Uuid), [[uuid.UUID(int=5)], []]),
    "list of decimals": (sa.ARRAY(sa.Numeric(9, 2)), [[Decimal("1.50")], [None]]),
    "list of intervals": (sa.ARRAY(sa.Interval), [[dt.timedelta(400, 5, 7)]]),
    "list of JSON": (sa.ARRAY(sa.JSON), [[{"a": [1, "x"]}, "s", 5], []]),
    "list of times in UTC": (sa.ARRAY(AWARE), [[dt.datetime(2024, 1, 1, tzinfo=UTC)]]),
    "array": (types.FixedArray(sa.Integer, 3), [(1, 2, 3), (4, None, 6), None]),
    "array of floats": (types.FixedArray(sa.Float, 2), [(0.1, float("inf"))]),
    "array of enums": (types.FixedArray(sa.Enum(Color), 1), [(Color.RED,), None]),
    "list of arrays": (
        sa.ARRAY(types.FixedArray(sa.Integer, 2)), [[(1, 2), (3, 4)], []],
    ),
    "struct": (
        types.Struct({"a": sa.Integer, "b c": sa.String()}),
        [{"a": 1, "b c": "x"}, None, {"a": None, "b c": "😀"}],
    ),
    "struct of structs": (
        types.Struct({"a": sa.ARRAY(sa.Enum(Color)),
                      "b": types.Struct({"c": AWARE, "d": sa.JSON}), "e": sa.Integer}),
        [{"a": [Color.RED], "e": 1,
          "b": {"c": dt.datetime(2024, 1, 1, tzinfo=UTC), "d": {"x": [1, "y"]}}},
         {"a": None, "b": None, "e": None}, None],
    ),
    "map": (types.Map(sa.String, sa.Integer), [{"a": 1, "b": None}, {}, None]),
    "map of integers": (types.Map(sa.Integer, sa.String()), [{1: "a"}, {2: "b"}]),
    "map of lists": (types.Map(sa.String, sa.ARRAY(sa.Integer)), [{"a": [1], "b": []}]),
    "map of enums": (types.Map(sa.Enum(Color), sa.String), [{Color.RED: "x"}, {}]),
    "map to enums": (types.Map(sa.String, sa.Enum(Color)), [{"x": Color.RED}, None]),
    "union": (types.Union({"n": sa.Integer, "s": sa.String}), [1, "two", None]),
    "variant": (
        types.VARIANT(),
        [{"a": [1, 2, {"b": None}], "": "ü"}, [1, "a", 1.5], "s", 5, None, 1.5, True,
         2**63],
    ),
    "json": (
        sa.JSON(),
        [{"a": [1, 2, {"ü": "😀"}]}, [1, "x", None], "s", 5, 1.5, True, {}, [], "",
         {"nul": "x\x00y"}, 2**80],
    ),
}  # fmt: skip


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize("name", AS_THEY_ARE)
async def test_what_goes_in_comes_out(stored, name, many):
    type_, values = AS_THEY_ARE[name]

    _, found = await stored(type_, values, many=many)

    assert values == found


CONVERTED = {
    "other zones to UTC": (
        AWARE,
        [dt.datetime(2024, 7, 2, 3, 4, 5, 6, NEW_YORK),
         dt.datetime(2024, 7, 2, 3, tzinfo=INDIA)],
        [dt.datetime(2024, 7, 2, 7, 4, 5, 6, UTC),
         dt.datetime(2024, 7, 1, 21, 30, tzinfo=UTC)],
    ),
    "naive times are in UTC": (
        AWARE,
        [dt.datetime(2024, 7, 2, 3), dt.datetime(2024, 7, 2, 4)],
        [dt.datetime(2024, 7, 2, 3, tzinfo=UTC),
         dt.datetime(2024, 7, 2, 4, tzinfo=UTC)],
    ),
    "naive and aware times": (
        AWARE,
        [dt.datetime(2024, 7, 2, 3), dt.datetime(2024, 7, 2, 3, tzinfo=INDIA)],
        [dt.datetime(2024, 7, 2, 3, tzinfo=UTC),
         dt.datetime(2024, 7, 1, 21, 30, tzinfo=UTC)],
    ),
    "aware times without their zone": (
        sa.DateTime(),
        [dt.datetime(2024, 7, 2, 3, tzinfo=INDIA), dt.datetime(2024, 7, 2, 3)],
        [dt.datetime(2024, 7, 1, 21, 30), dt.datetime(2024, 7, 2, 3)],
    ),
    "a date, then a time": (
        sa.DateTime(),
        [dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4)],
        [dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 2, 3, 4)],
    ),
    "dates as times": (
        sa.DateTime(), [dt.date(2024, 1, 2)] * 2, [dt.datetime(2024, 1, 2)] * 2,
    ),
    "times as dates": (
        sa.Date(), [dt.datetime(2024, 2, 28, 12, 30), dt.date(2024, 2, 29)],
        [dt.date(2024, 2, 28), dt.date(2024, 2, 29)],
    ),
    "a list of a date and a time": (
        sa.ARRAY(sa.DateTime), [[dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)]],
        [[dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 5)]],
    ),
    "negative zero": (sa.Double(), [-0.0, 0], [-0.0, 0.0]),
    "booleans": (sa.Boolean(), [1, 0, True], [True, False, True]),
    "infinity": (
        AWARE, ["infinity", "-infinity"],
        [dt.datetime.max.replace(tzinfo=UTC), dt.datetime.min.replace(tzinfo=UTC)],
    ),
    "infinite dates": (
        sa.Date(), ["infinity", "-infinity"], [dt.date.max, dt.date.min],
    ),
    "years after 9999 and before Christ": (
        AWARE,
        [dt.datetime.max.replace(tzinfo=NEW_YORK),
         dt.datetime.min.replace(tzinfo=INDIA)],
        ["10000-01-01 04:59:59.999999+00", "0001-12-31 (BC) 18:30:00+00"],
    ),
    "rounded to seconds": (
        types.TIMESTAMP_S(),
        [dt.datetime(2024, 1, 2, 3, 4, 5, 678901), dt.datetime(1960, 1, 1, 0, 0, 0, 9)],
        [dt.datetime(2024, 1, 2, 3, 4, 6), dt.datetime(1960, 1, 1)],
    ),
    "rounded to milliseconds": (
        types.TIMESTAMP_MS(), [dt.datetime(2024, 1, 2, 3, 4, 5, 678901)],
        [dt.datetime(2024, 1, 2, 3, 4, 5, 679000)],
    ),
    "a time without a zone is in UTC": (
        sa.Time(timezone=True), [dt.time(1, 2), dt.time(1, 2, tzinfo=INDIA)],
        [dt.time(1, 2, tzinfo=UTC), dt.time(1, 2, tzinfo=INDIA)],
    ),
    "a list of times to UTC": (
        sa.ARRAY(AWARE), [[dt.datetime(2024, 7, 2, 3, tzinfo=INDIA), None]],
        [[dt.datetime(2024, 7, 1, 21, 30, tzinfo=UTC), None]],
    ),
    "decimals are rounded away from zero": (
        sa.Numeric(9, 2),
        [Decimal("1.005"), Decimal("-1.015"), Decimal(3), 1.005, 7],
        [Decimal("1.01"), Decimal("-1.02"), Decimal("3.00"), Decimal("1.00"),
         Decimal("7.00")],
    ),
    "decimals to the closest float": (
        sa.Double(), [Decimal("1.1"), Decimal("12345678901234567890.123"), 3],
        [1.1, 12345678901234567890.123, 3.0],
    ),
    "floats to decimals": (
        sa.Float(asdecimal=True), [0.1, 2.5, None],
        [Decimal("0.1000000000"), Decimal("2.5000000000"), None],
    ),
    "each decimal as text": (
        sa.String(),
        [Decimal("1.10"), Decimal(2), Decimal("1E+3")], ["1.10", "2", "1000"],
    ),
    "decimals of one scale as text": (
        sa.String(), [Decimal("1.10"), Decimal("2.25")], ["1.10", "2.25"],
    ),
    "a decimal and an integer as text": (
        sa.String(), [Decimal("1.10"), 2], ["1.10", "2"],
    ),
    "timedeltas as text": (
        sa.String(), [dt.timedelta(2, 21600), dt.timedelta(40)],
        ["2 days 06:00:00", "40 days"],
    ),
    "an integer and a string as text": (
        sa.String(), [1, "2", True], ["1", "2", "true"],
    ),
    "an integer and a string as numbers": (sa.Integer(), [1, "2", True], [1, 2, 1]),
    "a number in text": (sa.Float(), ["1.5", "inf"], [1.5, float("inf")]),
    "bytes of all kinds": (
        sa.LargeBinary(), [bytearray(b"x\xff"), memoryview(b"abcd")[::2], b"z"],
        [b"x\xff", b"ac", b"z"],
    ),
    "bytearrays": (sa.LargeBinary(), [bytearray(b"x")] * 2, [b"x"] * 2),
    "memoryviews": (sa.BLOB(), [memoryview(b"x")] * 2, [b"x"] * 2),
    "tuples": (sa.ARRAY(sa.Integer), [(1, 2), (3,)], [[1, 2], [3]]),
    "tuples and lists": (sa.ARRAY(sa.Integer), [(1, 2), [3]], [[1, 2], [3]]),
    "lists of mixed kinds": (
        sa.ARRAY(sa.String), [["a", 1], ["b"]], [["a", "1"], ["b"]],
    ),
    "structs by name": (
        types.Struct({"a": sa.Integer, "b": sa.String}),
        [{"b": "x", "a": 1}, {"a": 2}], [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
    ),
    "JSON's null and SQL's": (
        sa.JSON(none_as_null=True), [None, sa.JSON.NULL, {}], [None, None, {}],
    ),
    "JSON's not a number": (sa.JSON(), [float("inf"), 1], [float("inf"), 1]),
}  # fmt: skip


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize("name", CONVERTED)
async def test_a_value_of_another_kind_is_converted(stored, name, many):
    type_, values, expected = CONVERTED[name]

    _, found = await stored(type_, values, many=many)

    assert repr(expected) == repr(found)


REFUSED = {
    "a number too large": (sa.Integer(), 2**31),
    "a number too large for any type": (sa.Integer(), 2**200),
    "a negative number": (types.UBigInteger(), -1),
    "a word for a number": (sa.Integer(), "x"),
    "a decimal too large": (sa.Numeric(5, 2), Decimal("123456.78")),
    "no number": (sa.Numeric(5, 2), Decimal("NaN")),
    "infinity": (sa.Numeric(5, 2), Decimal("Infinity")),
    "a float too large": (sa.REAL(), 1e300),
    "a number for a boolean": (sa.Boolean(), 2),
    "text for bytes": (sa.LargeBinary(), "abc"),
    "a lone surrogate": (sa.Text(), "\ud800"),
    "a lone surrogate in JSON": (sa.JSON(), {"a": "\ud800"}),
    "a set in JSON": (sa.JSON(), {1, 2}),
    "a decimal in a variant": (types.VARIANT(), Decimal("1.5")),
    "no member of the enum": (types.ENUM("a", "b"), "z"),
    "no member of SQLAlchemy's Enum": (sa.Enum(Color, validate_strings=True), "z"),
    "a plain enum": (sa.String(), Color.RED),
    "a complex number": (sa.Float(), 1j),
    "an object": (sa.String(), object()),
    "a set": (sa.String(), {1}),
    "an array of another length": (types.FixedArray(sa.Integer, 3), (1, 2)),
    "a time before nanoseconds": (types.TIMESTAMP_NS(), dt.datetime(1, 1, 1)),
    "no uuid": (sa.Uuid(as_uuid=False), "x"),
    "no date": (sa.Date(), "yesterday"),
    "no bits": (types.BIT(), "2"),
    "a list for a struct": (types.Struct({"a": sa.Enum(Color)}), ["x"]),
    "a list for a map": (types.Map(sa.String, sa.Integer), ["x"]),
    "a number for a list": (sa.ARRAY(sa.Enum(Color)), 5),
}


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize("name", REFUSED)
async def test_a_value_that_does_not_fit_is_refused(stored, name, many):
    type_, value = REFUSED[name]

    with pytest.raises(InvalidValueError) as caught:
        await stored(type_, [value, value], many=many)

    assert caught.value.statement.startswith("INSERT INTO")
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
async def test_not_a_number_is_a_float(stored, many):
    texts, (value, _) = await stored(sa.Float(), [float("nan"), 1.0], many=many)

    assert ["nan", "1.0"] == texts
    assert value != value  # noqa: PLR0124 - that is what it means


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
async def test_json_is_stored_compactly_and_none_is_its_null(stored, many):
    values = [{"a": [1, "ü"]}, None, sa.JSON.NULL]

    texts, _ = await stored(sa.JSON(), values, many=many)

    assert ['{"a":[1,"ü"]}', "null", "null"] == texts


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
async def test_none_is_null_where_json_is_told_so(stored, many):
    type_ = sa.JSON(none_as_null=True)

    texts, _ = await stored(type_, [None, sa.JSON.NULL, {}], many=many)

    assert [None, "null", "{}"] == texts


async def test_an_expression_of_decimals_that_duckdb_computes_in_floats(database):
    async with database.connect() as connection:
        quotient = sa.literal(Decimal("1.5")) / sa.literal(Decimal(2))
        whole = sa.cast(sa.literal(Decimal("1.5")), sa.Float())
        values = (await connection.execute(sa.select(quotient, whole))).one()

    assert (Decimal("0.75"), 1.5) == values


async def test_a_decimal_may_come_back_from_a_float_column(database):
    async with database.connect() as connection:
        found = await connection.execute(
            sa.text("SELECT 1.25").columns(sa.column("x", sa.Float()))
        )

        assert [1.25] == list(found.scalars())


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        (types.Struct({"a": sa.Integer, 'q"': types.Map(sa.String, sa.Uuid)}),
         'STRUCT("a" INTEGER, "q""" MAP(VARCHAR, UUID))'),
        (types.Union({"n": sa.Integer, "s": sa.ARRAY(sa.String)}),
         'UNION("n" INTEGER, "s" VARCHAR[])'),
        (types.FixedArray(sa.ARRAY(sa.Integer, dimensions=2), 4), "INTEGER[][][4]"),
        (types.ENUM("a", "it's"), "ENUM('a', 'it''s')"),
        (sa.String(7, collation="nocase"), 'VARCHAR COLLATE "nocase"'),
        (sa.Numeric(), "DECIMAL(38, 10)"),
        (sa.Numeric(scale=4), "DECIMAL(38, 4)"),
        (sa.Numeric(9), "DECIMAL(9, 0)"),
        (sa.Float(24), "FLOAT"),
        (sa.Float(25), "DOUBLE"),
        (sa.Double(), "DOUBLE"),
        (sa.Interval(), "INTERVAL"),
        (sa.JSON(), "JSON"),
        (sa.CHAR(3), "VARCHAR"),
        (sa.TIMESTAMP(timezone=True), "TIMESTAMP WITH TIME ZONE"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_type_compiles_without_anything_but_the_dialect(type_, expected):
    assert expected == type_.compile(dialect=DuckDBDialect_async())


async def test_a_struct_without_fields_cannot_be_a_column(database):
    with pytest.raises(sa.exc.CompileError, match="requires fields"):
        types.Struct().compile(dialect=DuckDBDialect_async())


async def test_structs_of_other_fields_are_other_statements():
    def key(type_):
        return sa.select(sa.column("v", type_))._generate_cache_key()

    assert key(types.Struct({"a": sa.Integer})) == key(types.Struct({"a": sa.Integer}))
    assert key(types.Struct({"a": sa.Integer})) != key(types.Struct({"a": sa.String}))
    assert key(types.Struct({"a": sa.Integer})) != key(types.Union({"a": sa.Integer}))


async def test_literals_are_what_bound_values_are(database):
    values = [dt.timedelta(400, 5, 7), dt.timedelta(microseconds=-1), "it's", 1.5, True]
    async with database.connect() as connection:
        for value in values:
            literal = sa.select(sa.literal(value, literal_execute=True))
            assert value == (await connection.execute(literal)).scalar_one()


# --- a property: both ways store the same -----------------------------------------

_times = st.datetimes(timezones=st.sampled_from([None, UTC, INDIA, NEW_YORK]))
_decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9),
                        max_value=10**9, places=None)  # fmt: skip
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
_leaves = st.none() | st.booleans() | st.integers() | _texts
_json = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3)
    ),
    max_leaves=5,
)
# Whatever column it is stored in; DuckDB has an opinion on each.
_anything = st.one_of(
    _leaves, _times, _decimals, st.floats(), st.dates(), st.timedeltas(), st.uuids(),
    st.times(), st.binary(max_size=9), st.sampled_from(Word), st.sampled_from(Number),
    st.lists(st.integers(-9, 9), max_size=2),
)  # fmt: skip

_struct = types.Struct(
    {"a": sa.Double, "b": sa.String, "d": sa.Numeric(9, 2), "u": sa.Uuid,
     "m": types.Map(sa.String, sa.ARRAY(sa.Integer)), "h": types.HugeInteger}
)  # fmt: skip
_structs = st.fixed_dictionaries(
    {"a": st.none() | st.floats() | st.integers(), "b": st.none() | _texts},
    optional={
        "d": st.none() | _decimals, "u": st.none() | st.uuids(),
        "m": st.none() | st.dictionaries(_texts, st.lists(st.integers(-9, 9))),
        "h": st.integers(-(2**127), 2**127 - 1),
    },
)  # fmt: skip
_dicts = st.dictionaries(
    st.sampled_from(["key", "value", "a", "A", ""]) | st.integers(0, 1),
    st.lists(st.none() | st.integers(0, 1), max_size=2) | _leaves,
    max_size=2,
)
_union = types.Union(
    {"s": sa.String, "u": sa.Uuid, "n": sa.Integer, "h": types.HugeInteger,
     "l": sa.ARRAY(sa.Integer), "d": types.Struct({"a": sa.Integer})}
)  # fmt: skip

VALUES = [
    (sa.Integer, st.integers(-(2**31), 2**31 - 1)),
    (types.HugeInteger, st.integers(-(2**127), 2**127 - 1)),
    (types.BIGNUM, st.integers()),
    (sa.Double, st.floats() | st.integers(-(2**70), 2**70) | _decimals),
    (sa.Numeric(30, 6), _decimals | st.integers(-(10**20), 10**20)),
    (sa.String, _texts | st.integers() | st.booleans() | _decimals | st.dates()),
    (sa.LargeBinary, st.binary(max_size=9)),
    (sa.DateTime, _times | st.dates()),
    (AWARE, _times | st.dates()),
    (sa.Date, st.dates() | _times),
    (sa.Time, st.times()),
    (sa.Interval, st.timedeltas()),
    (sa.Uuid, st.uuids()),
    (sa.JSON, _json),
    (types.VARIANT, _json),
    (sa.ARRAY(sa.String), st.lists(_texts | st.none() | st.integers(), max_size=3)),
    (sa.ARRAY(sa.Interval), st.lists(st.timedeltas(), max_size=3)),
    (types.Map(sa.String, sa.Integer), st.dictionaries(_texts, st.integers(0, 9))),
    (types.FixedArray(AWARE, 2), st.tuples(_times, _times)),
    (sa.String, _anything),
    (sa.Integer, _anything),
    (_union, _anything | _structs),
    (types.Struct({"a": _union}), st.fixed_dictionaries({"a": _anything})),
    (_struct, _structs),
    (sa.ARRAY(_struct), st.lists(_structs, max_size=3)),
    (sa.String, _structs),
    (sa.String, _dicts),
    (types.UHugeInteger, st.integers(0, 2**128 - 1)),
    (types.Map(sa.Integer, _struct), st.dictionaries(st.integers(0, 9), _structs)),
    (sa.ARRAY(sa.Uuid), st.lists(st.uuids(), max_size=3)),
    (sa.ARRAY(sa.Numeric(9, 2)), st.lists(_decimals, max_size=3)),
]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_rows_together_are_stored_as_they_are_singly(stored, data):
    type_, values = data.draw(st.sampled_from(VALUES))
    column = data.draw(st.lists(st.none() | values, min_size=2, max_size=5))
    as_text = data.draw(st.booleans())

    assert await _outcome(
        stored, type_, column, many=False, as_text=as_text
    ) == await _outcome(stored, type_, column, many=True, as_text=as_text)


async def _outcome(stored, type_, column, **options):
    try:
        return repr(await stored(type_, column, **options))
    except StatementError as error:
        return type(error)
