"""
Parameter sets as columns of an Arrow table, or one by one where that is safer.
"""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import pyarrow as pa
import pytest
from sqlalchemy.exc import StatementError

from project_architect_db.dialect.columnar import (
    Column,
    RowsInsert,
    placeholders,
    plain_values,
)

UTC = dt.UTC
SQL = "INSERT INTO t (a) VALUES ($1)"


def rows_insert(*columns, is_decimal=False, sql=SQL, values="$1", **kw):
    """
    An INSERT of values for $1, $2, …
    """
    return RowsInsert(
        sql,
        values,
        [column[0] for column in columns],
        {
            number: Column((lambda c=c: c), is_decimal, target=f"c{number}")
            for number, c in enumerate(columns, start=1)
        },
        len(columns[0]),
        **kw,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None], pa.bool_()),
        ([1, -(2**63)], pa.int64()),
        ([1, 2**64 - 1], pa.uint64()),
        ([1.5, None], pa.float64()),
        (["a", ""], pa.string()),
        ([b"a", None], pa.binary()),
        ([bytearray(b"a")] * 2, pa.binary()),
        ([memoryview(b"a")] * 2, pa.binary()),
        ([dt.date(2024, 1, 1)], pa.date32()),
        ([dt.datetime(2024, 1, 1)], pa.timestamp("us")),
        ([dt.datetime(2024, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ([dt.time(1), None], pa.time64("us")),
        ([dt.timedelta(1)], pa.month_day_nano_interval()),
        ([uuid.UUID(int=1), None], pa.string()),
        ([None, None], pa.null()),
        ([[1, None], [], None], pa.list_(pa.int64())),
        ([[["a"]], []], pa.list_(pa.list_(pa.string()))),
        ([(1,), (2,)], pa.list_(pa.int64())),
        ([[dt.timedelta(1)]], pa.list_(pa.month_day_nano_interval())),
    ],
)
def test_values_of_one_kind_make_a_column(values, expected):
    table = rows_insert(values).arrow_table()

    assert expected == table.schema.field("1").type
    assert len(values) == table.num_rows


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Decimal("1.5"), Decimal("2.25"), None], pa.decimal128(3, 2)),
        ([[Decimal("1.5")], [Decimal("2.25")]], pa.list_(pa.decimal128(3, 2))),
    ],
)
def test_decimals_make_a_column_for_decimals_only(values, expected):
    assert rows_insert(values).arrow_table() is None
    assert (
        expected
        == rows_insert(values, is_decimal=True).arrow_table().schema.field("1").type
    )


@pytest.mark.parametrize(
    "values",
    [
        [dt.time(1, tzinfo=UTC)],
        [2**64],
        [-1, 2**63],
        ["\ud800"],
        [Decimal("NaN")],
        [Decimal("9" * 30), Decimal("0." + "1" * 20)],
        [Decimal("1.5"), 2**70],
        [[1], ["2"]],
        [[uuid.UUID(int=1)]],
        [{"a": 1}],
        [{1}],
        [object()],
    ],
)
def test_values_that_arrow_might_change_go_one_by_one(values):
    insert = rows_insert(values, is_decimal=True)

    assert insert.arrow_table() is None
    assert [[value] for value in values] == list(insert.rows())


def test_rows_go_one_by_one_when_told_so():
    insert = rows_insert([1, 2], one_by_one=True)

    assert insert.arrow_table() is None
    assert SQL == insert.single == insert.statement


@pytest.mark.parametrize(
    "values",
    [
        [1, None, "2", 3],
        [1, 1.5],
        [1, True],
        [Decimal("1.5"), 3],
        [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)],
        [[1], (2,)],
    ],
)
def test_values_of_two_kinds_make_two_columns(values):
    insert = rows_insert(values, is_decimal=True)
    table = insert.arrow_table()

    assert insert.mixed == {1: 2}
    assert table.column_names == ["1.0", "1.1"]
    assert table.num_rows == len(values)
    found = zip(table["1.0"].to_pylist(), table["1.1"].to_pylist(), strict=True)
    assert [list(v) if isinstance(v, tuple) else v for v in values] == [
        one if two is None else two for one, two in found
    ]
    assert insert.types_query() == "SELECT c1 FROM t LIMIT 0"
    assert insert.from_table({1: "BIGINT"}) == (
        'INSERT INTO t (a) SELECT COALESCE(CAST(__architect_rows__."1.0" AS BIGINT), '
        'CAST(__architect_rows__."1.1" AS BIGINT)) FROM __architect_rows__'
    )


@pytest.mark.parametrize(
    ("table", "target", "expected"),
    [
        ("t", "a", "SELECT a FROM t LIMIT 0"),
        ('s."a (b ""c"".d"', '"x y"', 'SELECT "x y" FROM s."a (b ""c"".d" LIMIT 0'),
        ("t", None, None),
        ("", "a", None),
    ],
)
def test_the_types_of_columns_are_asked_of_their_table(table, target, expected):
    columns = {1: Column(lambda: [1, "2"], target=target)}
    insert = RowsInsert(f"INSERT INTO {table} (a) VALUES ($1)", "$1", [1], columns, 2)
    insert.arrow_table()

    assert insert.types_query() == expected


def test_the_statement_reads_the_columns_by_their_number():
    insert = RowsInsert(
        "INSERT INTO t (a, b) VALUES ($2, upper($4) || '$1''') ON CONFLICT (a) "
        "DO UPDATE SET b = $3 || $1",
        "$2, upper($4) || '$1'''",
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
    insert = RowsInsert(
        "INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $2",
        "$1",
        [1, 2],
        {1: Column(lambda: [1, 3]), 2: Column(lambda: [2, 4])},
        2,
    )

    assert insert.one_by_one
    assert insert.arrow_table() is None
    assert [[1, 2], [3, 4]] == list(insert.rows())


def test_rows_that_differ_in_nothing_go_one_by_one():
    insert = RowsInsert("INSERT INTO t (a) VALUES ($1)", "$1", ["same"], {}, 2)

    assert insert.arrow_table() is None
    assert [["same"], ["same"]] == list(insert.rows())


def test_a_value_that_cannot_be_converted_is_a_statement_error():
    def fail():
        raise ValueError("no such color")

    insert = RowsInsert(SQL, "$1", [1], {1: Column(fail)}, 2)

    with pytest.raises(StatementError, match="no such color") as caught:
        insert.arrow_table()
    assert SQL == caught.value.statement
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t (a) VALUES ($1)", "$1"),
        ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT DO NOTHING", "$1, $2"),
        ("INSERT INTO t (\"$1\") VALUES ($1) RETURNING '$2'", "$1"),
        ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = $2", "$1"),
        ("INSERT INTO t (a, b) VALUES ($1, lower($2))", None),
        ("INSERT INTO t (a) SELECT $1", None),
        ("INSERT INTO t DEFAULT VALUES", None),
    ],
)
def test_plain_values_are_nothing_but_placeholders(sql, expected):
    assert expected == plain_values(sql)


def test_placeholders_are_not_looked_for_in_quotes():
    assert [1, 12] == placeholders("""$1 '$2''$3' "$4""$5" $12""")
