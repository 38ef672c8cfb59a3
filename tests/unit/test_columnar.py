"""
Parameter sets as columns of an Arrow table, or one by one where that is safer.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import StatementError

from project_architect_db.dialect import types
from project_architect_db.dialect.arrow_arrays import MOST_KINDS
from project_architect_db.dialect.columnar import (
    Column,
    RowsStatement,
)
from project_architect_db.dialect.row_texts import (
    InsertText,
    is_plain_insert,
    placeholders,
)

UTC = dt.UTC
TEXT = sa.String()
SQL = "INSERT INTO t (a) VALUES ($1)"
INTERVAL = pa.month_day_nano_interval()
HUGE = pa.opaque(pa.binary(16), "hugeint", "DuckDB")
UNSIGNED_HUGE = pa.opaque(pa.binary(16), "uhugeint", "DuckDB")
PRICES = [Decimal("1.5"), Decimal("2.25"), None]
UNION = types.Union({"n": sa.Integer, "s": sa.String})


def rows_insert(*columns, type_=TEXT, sql=SQL, **kw):
    """
    An INSERT of values for $1, $2, …
    """
    return RowsStatement(
        InsertText.parse(sql),
        [column[0] for column in columns],
        {
            number: Column((lambda c=c: c), type_)
            for number, c in enumerate(columns, start=1)
        },
        len(columns[0]),
        **kw,
    )


# --- values -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None], pa.bool_()),
        ([1, -(2**63)], pa.int64()),
        ([1, 2**64 - 1], pa.uint64()),
        ([2**64, None, -1], HUGE),
        ([-1, 2**63], HUGE),
        ([2**128 - 1, None, 0], UNSIGNED_HUGE),
        ([1.5, None], pa.float64()),
        ([Decimal("1.5"), Decimal("22.5")], pa.decimal128(3, 1)),
        ([Decimal("0.05"), None], pa.decimal128(3, 2)),
        ([Decimal("0.25"), None], pa.decimal128(2, 2)),
        ([Decimal("1E+3"), Decimal(2)], pa.decimal128(4, 0)),
        (["a", ""], pa.string()),
        ([b"a", None], pa.binary()),
        ([bytearray(b"a")] * 2, pa.binary()),
        ([memoryview(b"a")] * 2, pa.binary()),
        ([dt.date(2024, 1, 1)], pa.date32()),
        ([dt.datetime(2024, 1, 1)], pa.timestamp("us")),
        ([dt.datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ([dt.time(1), None], pa.time64("us")),
        ([dt.timedelta(1)], INTERVAL),
        ([uuid.UUID(int=1), None], pa.uuid()),
        ([None, None], pa.null()),
        ([[1, None], [], None], pa.list_(pa.int64())),
        ([[["a"]], []], pa.list_(pa.list_(pa.string()))),
        ([(1,), (2,)], pa.list_(pa.int64())),
        ([[dt.timedelta(1)]], pa.list_(INTERVAL)),
        ([[uuid.UUID(int=1)], None], pa.list_(pa.uuid())),
        (
            [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}],
            pa.struct({"a": pa.int64(), "b": pa.list_(pa.string())}),
        ),
        ([{"a": {"b": 2**70}}], pa.struct({"a": pa.struct({"b": HUGE})})),
        (
            [{"key": "ab", "value": "cd"}],
            pa.struct({"key": pa.string(), "value": pa.string()}),
        ),
        (
            [{"key": [1], "value": []}],
            pa.struct({"key": pa.list_(pa.int64()), "value": pa.list_(pa.null())}),
        ),
        ([{"key": ["a"], "value": [1]}, None, {}], pa.map_(pa.string(), pa.int64())),
        (
            [{"key": [[1]], "value": [{"a": 1}]}],
            pa.map_(pa.list_(pa.int64()), pa.struct({"a": pa.int64()})),
        ),
    ],
)
def test_values_of_one_kind_make_a_column(values, expected):
    insert = rows_insert(values)
    table = insert.arrow_table()

    assert expected == table.schema.field("1").type
    assert len(values) == table.num_rows
    assert {} == insert.mixed


def kinds_of(values, type_):
    """
    How many columns values become, and whether those depend on the type.
    """
    insert = rows_insert(values, type_=type_)
    table = insert.arrow_table()
    return None if table is None else (table.num_columns, 1 in insert.mixed)


@pytest.mark.parametrize(
    ("type_", "values", "expected"),
    [
        (sa.Numeric(), PRICES, (1, False)),
        (sa.String(), PRICES, (2, True)),
        (sa.ARRAY(sa.Numeric), [PRICES], (1, False)),
        (sa.ARRAY(sa.String), [PRICES], None),
        (types.FixedArray(sa.Numeric, 3), [PRICES], (1, False)),
        (types.Struct({"a": sa.Numeric}), [{"a": p} for p in PRICES], (1, False)),
        (types.Struct({"b": sa.Numeric}), [{"a": p} for p in PRICES], None),
        (
            types.Map(sa.String, sa.Numeric),
            [{"key": ["a", "b", "c"], "value": PRICES}],
            (1, False),
        ),
        (
            types.Map(sa.Numeric, sa.String),
            [{"key": PRICES[:2], "value": ["a", "b"]}],
            (1, False),
        ),
    ],
)
def test_decimals_share_a_column_where_decimals_are_stored(type_, values, expected):
    assert expected == kinds_of(values, type_)


@pytest.mark.parametrize(
    ("values", "may_differ"),
    [
        (["a", "b"], False),
        ([uuid.UUID(int=1)], False),
        ([None, None], False),
        (["a", None], True),
        ([1, 2], True),
        ([2**63, 2**70], True),
        ([Decimal("1.5")], True),
        ([["a"]], True),
        ([{"a": "b"}], True),
        ([{}], True),
    ],
)
@pytest.mark.parametrize(
    ("type_", "is_particular"),
    [
        (sa.String(), False),
        (types.Struct({"a": sa.Integer, "b": sa.String()}), False),
        (sa.types.NULLTYPE, True),
        (UNION, True),
        (types.VARIANT(), True),
        (types.BIT(), True),
        (sa.ARRAY(UNION), True),
        (types.FixedArray(types.VARIANT, 3), True),
        (types.Map(UNION, sa.String), True),
        (types.Map(sa.String, UNION), True),
        (types.Struct({"a": sa.Integer, "b": sa.ARRAY(UNION)}), True),
    ],
)
def test_the_type_of_a_column_is_asked_for_where_it_counts(
    values, may_differ, type_, is_particular
):
    assert (1, may_differ and is_particular) == kinds_of(values, type_)


@pytest.mark.parametrize(
    "values",
    [
        [dt.time(1, tzinfo=UTC)],
        [2**128],
        [-1, 2**127],
        ["\ud800"],
        [Decimal("NaN")],
        [Decimal("9" * 30), Decimal("0." + "1" * 20)],
        [[1, "2"]],
        [{"a": 1}, {"a": "2"}],
        [{"key": None, "value": None}],
        [{"key": [1], "value": None}],
        [{"key": [None], "value": [1]}],
        [{"": 1}],
        [{"a\0": 1}],
        [{1: 1}],
        [{1}],
        [object()],
        [{f"k{i}": 1} for i in range(MOST_KINDS + 1)],
    ],
)
def test_values_that_arrow_might_change_go_one_by_one(values):
    insert = rows_insert(values, type_=sa.Numeric())

    assert insert.arrow_table() is None
    assert [[value] for value in values] == list(insert.rows())


def test_decimals_of_more_digits_than_duckdb_has_go_one_by_one():
    assert rows_insert([Decimal("1E-38")]).arrow_table() is None
    assert rows_insert([Decimal("NaN")]).arrow_table() is None


@pytest.mark.parametrize(
    "values",
    [
        [1, None, "2", 3],
        [1, 1.5],
        [1, True],
        [Decimal("1.5"), 3],
        [Decimal("1.5"), 2**70],
        [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)],
        [[1], (2,)],
        [{"a": 1}, {"a": 2, "b": 3}],
        [{"a": 1, "b": 2}, {"b": 3, "a": 4}],
    ],
)
def test_values_of_two_kinds_make_two_columns(values):
    insert = rows_insert(values, type_=sa.Numeric())
    table = insert.arrow_table()

    assert insert.mixed == {1: 2}
    assert table.column_names == ["1.0", "1.1"]
    assert table.num_rows == len(values)
    found = zip(table["1.0"].is_valid(), table["1.1"].is_valid(), strict=True)
    assert [value is not None for value in values] == [
        one.as_py() ^ two.as_py() for one, two in found
    ]
    assert insert.types_query() == "SELECT a FROM t LIMIT 0"
    assert insert.from_table({1: "BIGINT"}) == (
        'INSERT INTO t (a) SELECT COALESCE(CAST(__architect_rows__."1.0" AS BIGINT), '
        'CAST(__architect_rows__."1.1" AS BIGINT)) FROM __architect_rows__'
    )


# --- the statement ----------------------------------------------------------------


def test_rows_go_one_by_one_when_told_so():
    insert = rows_insert([1, 2], one_by_one=True)

    assert insert.arrow_table() is None
    assert SQL == insert.single == insert.statement


@pytest.mark.parametrize(
    ("sql", "values", "expected"),
    [
        ("t (a) VALUES ($1)", [1, "2"], "SELECT a FROM t LIMIT 0"),
        ("t (a) VALUES ($1)", [1, 2], "SELECT a FROM t LIMIT 0"),
        (
            's."a (b ""c"".d" (b, "x, y") VALUES (now(), $1)',
            [1, "2"],
            'SELECT "x, y" FROM s."a (b ""c"".d" LIMIT 0',
        ),
        ("t (a) VALUES (upper($1))", [1, "2"], None),
        ("t (a) VALUES (upper($1))", [1, 2], None),
        ("t VALUES (now(), $1)", [1, 2], "SELECT #2 FROM t LIMIT 0"),
        ("t VALUES (now(), $1)", [1, "2"], None),
    ],
)
def test_the_types_of_columns_are_asked_of_their_table(sql, values, expected):
    insert = rows_insert(values, sql=f"INSERT INTO {sql}", type_=sa.types.NULLTYPE)
    insert.arrow_table()

    assert expected == insert.types_query()


def test_the_statement_reads_the_columns_by_their_number():
    insert = RowsStatement(
        InsertText.parse(
            "INSERT INTO t (a, b) VALUES ($2, upper($4) || '$1''') ON CONFLICT (a) "
            "DO UPDATE SET b = $3 || $1"
        ),
        ["same", 1, "too", "a"],
        {2: Column(lambda: [1, 2]), 4: Column(lambda: ["a", "b"])},
        2,
    )

    assert (
        'INSERT INTO t (a, b) SELECT __architect_rows__."2", '
        "upper(__architect_rows__.\"4\") || '$1''' FROM __architect_rows__ "
        "ON CONFLICT (a) DO UPDATE SET b = $2 || $1"
    ) == insert.statement
    assert ["same", "too"] == insert.constants
    assert [["same", 1, "too", "a"], ["same", 2, "too", "b"]] == list(insert.rows())
    assert "(2 rows in 2 columns)" == repr(insert)


def test_what_differs_from_row_to_row_outside_of_values_goes_one_by_one():
    sql = "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $2"
    insert = rows_insert([1, 3], [2, 4], sql=sql)

    assert insert.one_by_one
    assert insert.arrow_table() is None
    assert [[1, 2], [3, 4]] == list(insert.rows())


def test_rows_that_differ_in_nothing_go_one_by_one():
    insert = RowsStatement(InsertText.parse(SQL), ["same"], {}, 2)

    assert insert.arrow_table() is None
    assert [["same"], ["same"]] == list(insert.rows())


@pytest.mark.parametrize(
    ("tail", "goes_together"),
    [
        ("ON CONFLICT (a, B) DO UPDATE SET c = 1", True),
        ('ON CONFLICT ("c") DO UPDATE SET b = 1', True),
        ("ON CONFLICT (c, e) DO UPDATE SET b = 1", True),
        ("ON CONFLICT (a) DO UPDATE SET c = 1", False),
        ("ON CONFLICT (a, d) DO UPDATE SET c = 1", False),
        ("ON CONFLICT (a, e) DO UPDATE SET c = 1", False),
        ("ON CONFLICT (c, f) DO UPDATE SET c = 1", False),
        ("ON CONFLICT (e) DO UPDATE SET c = 1", False),
        ("ON CONFLICT DO UPDATE SET c = 1", False),
        ("ON CONFLICT (a) DO NOTHING", True),
        ("ON CONFLICT (a) WHERE b = ')' DO UPDATE SET c = 1", False),
        ("RETURNING 'DO UPDATE'", True),
        ("", True),
    ],
)
def test_rows_that_might_update_each_other_go_one_by_one(tail, goes_together):
    sql = f"INSERT INTO t (a, b, c, d, e) VALUES ($1, $2, $3, lower($2), $4) {tail}"
    insert = RowsStatement(
        InsertText.parse(sql),
        [1, "x", 1, "same"],
        {
            1: Column(lambda: [1, 1, 2]),
            2: Column(lambda: ["x", "y", "x"]),
            3: Column(lambda: [1, 2, 3]),
        },
        3,
    )

    assert goes_together == (insert.arrow_table() is not None)


def test_a_value_that_cannot_be_converted_is_a_statement_error():
    def fail():
        raise ValueError("no such color")

    insert = RowsStatement(InsertText.parse(SQL), [1], {1: Column(fail)}, 2)

    with pytest.raises(StatementError, match="no such color") as caught:
        insert.arrow_table()
    assert SQL == caught.value.statement
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("sql", "table", "columns", "values"),
    [
        (SQL, "t", ["a"], ["$1"]),
        (
            "INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            "t", ["a", "b"], ["$1", "$2"],
        ),
        (
            "INSERT INTO t (\"$1\") VALUES ($1) RETURNING '$2'",
            "t", ['"$1"'], ["$1"],
        ),
        (
            "insert or ignore\ninto s.t(a , b)\nvalues( $1,f($2, [1, {'x': 2}]))\n; ",
            "s.t", ["a", "b"], ["$1", "f($2, [1, {'x': 2}])"],
        ),
        ("INSERT INTO t VALUES (')', $1)", "t", [], ["')'", "$1"]),
        ("INSERT INTO t (a) SELECT $1", "", [], []),
        ("INSERT INTO t BY NAME VALUES ($1)", "", [], []),
        ("INSERT INTO t DEFAULT VALUES", "", [], []),
        ("INSERT INTO t VALUES ($1), ($2)", "", [], []),
        ("INSERT INTO t VALUES (f($1)", "", [], []),
        ("UPDATE t SET a = $1", "", [], []),
    ],
)  # fmt: skip
def test_the_text_of_an_insert_has_parts(sql, table, columns, values):
    insert = InsertText.parse(sql)

    assert (table, columns, values) == (insert.table, insert.columns, insert.values)
    assert set(placeholders(sql)) == insert.inside
    assert sql == insert.sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (" INSERT INTO t VALUES ($1);\n", True),
        ("insert into t values ('--;/*', $1, \"$x\")", True),
        ("UPDATE t SET a = $1", False),
        ("EXPLAIN INSERT INTO t VALUES ($1)", False),
        ("INSERT INTO t VALUES ($1); DELETE FROM t", False),
        ("INSERT INTO t VALUES ($1) -- it's", False),
        ("INSERT INTO t VALUES (/* ' */ $1)", False),
        ("INSERT INTO t VALUES ($$'$$, $1)", False),
        ("INSERT INTO t VALUES (a$1)", False),
        (r"INSERT INTO t VALUES (e'\'', $1)", False),
    ],
)
def test_plain_is_what_hides_nothing(sql, expected):
    assert expected == is_plain_insert(sql)


def test_placeholders_are_not_looked_for_in_quotes():
    assert [1, 12] == placeholders("""$1 '$2''$3' "$4""$5" $12""")
