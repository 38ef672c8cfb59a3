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


def rows_insert(*columns, is_decimal=False, sql=SQL, values="$1", constants=(), **kw):
    return RowsInsert(
        sql,
        values,
        constants,
        [Column(lambda c=c: c, is_decimal) for c in columns],
        len(columns[0]),
        **kw,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([True, None], pa.bool_()),
        ([1, -(2**63)], pa.int64()),
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

    assert expected == table.schema.field("0").type
    assert len(values) == table.num_rows


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Decimal("1.5"), Decimal("2.25"), None], pa.decimal128(3, 2)),
        ([Decimal("1.5"), 3], pa.decimal128(2, 1)),
        ([[Decimal("1.5")], [Decimal("2.25")]], pa.list_(pa.decimal128(3, 2))),
    ],
)
def test_decimals_make_a_column_for_decimals_only(values, expected):
    assert rows_insert(values).arrow_table() is None
    assert (
        expected
        == rows_insert(values, is_decimal=True).arrow_table().schema.field("0").type
    )


@pytest.mark.parametrize(
    "values",
    [
        [1, "2"],
        [1, 1.5],
        [1, True],
        [dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5)],
        [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)],
        [dt.time(1, tzinfo=UTC)],
        [2**63],
        ["\ud800"],
        [Decimal("NaN")],
        [Decimal("9" * 30), Decimal("0." + "1" * 20)],
        [Decimal("1.5"), 2**70],
        [[1], ["2"]],
        [[1], (2,)],
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


def test_the_statement_reads_the_columns_by_their_place():
    insert = rows_insert(
        [1, 2],
        ["a", "b"],
        sql="INSERT INTO t (a, b) VALUES ($2, upper($3) || '$1''') ON CONFLICT (a) "
        "DO UPDATE SET b = $1",
        values="$2, upper($3) || '$1'''",
        constants=["same"],
    )

    assert (
        'INSERT INTO t (a, b) SELECT __architect_rows__."0", '
        "upper(__architect_rows__.\"1\") || '$1''' FROM __architect_rows__ "
        "ON CONFLICT (a) DO UPDATE SET b = $1"
    ) == insert.statement
    assert [["same", 1, "a"], ["same", 2, "b"]] == list(insert.rows())
    assert "(2 rows in 2 columns)" == repr(insert)


def test_a_value_that_cannot_be_converted_is_a_statement_error():
    def fail():
        raise ValueError("no such color")

    insert = RowsInsert(SQL, "$1", (), [Column(fail, is_decimal=False)], 2)

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
        ("INSERT INTO t (a) VALUES ($1) ON CONFLICT DO UPDATE SET a = $1", None),
        ("INSERT INTO t (a, b) VALUES ($1, lower($2))", None),
        ("INSERT INTO t (a) SELECT $1", None),
        ("INSERT INTO t DEFAULT VALUES", None),
    ],
)
def test_plain_values_are_found_where_all_placeholders_are_there(sql, expected):
    assert expected == plain_values(sql)


def test_placeholders_are_not_looked_for_in_quotes():
    assert [1, 12] == placeholders("""$1 '$2''$3' "$4""$5" $12""")
