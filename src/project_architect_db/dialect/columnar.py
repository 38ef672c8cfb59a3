"""
Many rows in one statement: executemany of an INSERT goes through columns.

DuckDB takes 0.4 ms or more for a row of parameters, but 2–5 µs for a row of an
Arrow table (duckdb-facts §4). So ``INSERT INTO t (a, b) VALUES ($1, $2)`` with
10,000 parameter sets becomes ``INSERT INTO t (a, b) SELECT …`` from an Arrow table
of 10,000 rows. Values are converted on the worker thread, not on the event loop.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from sqlalchemy import exc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ROWS = "__architect_rows__"
"""The name the Arrow table is registered under while its statement runs."""

ROWS_PER_STATEMENT = 100_000
"""One Arrow batch, read by one thread: so the rows keep their order, and their
sequence gives out keys in that order."""

_PLACEHOLDER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)""")
"""A placeholder with its number; a string or a name in quotes without one."""

_PLAIN_VALUES = re.compile(r"\bVALUES \((\$\d+(?:, \$\d+)*)\)")


def placeholders(sql: str) -> list[int]:
    """
    The numbers of the placeholders in a piece of SQL, from left to right.
    """
    return [int(number) for number in _PLACEHOLDER.findall(sql) if number]


def plain_values(sql: str) -> str | None:
    """
    What stands between the parentheses of VALUES, if all placeholders do.
    """
    match = _PLAIN_VALUES.search(sql)
    if match is None or placeholders(sql) != placeholders(match[1]):
        return None
    return match[1]


class Column(NamedTuple):
    """
    One parameter of all rows.

    Attributes:
        values: Gives its values, ready for the database.
        is_decimal: It is stored as DECIMAL (or a list of them).
    """

    values: Callable[[], Iterable[Any]]
    is_decimal: bool


class RowsInsert:
    """
    The parameters of an INSERT of many rows, by column.

    Attributes:
        single: The statement for one row, with all its placeholders.
        statement: The statement for all rows, reading from the Arrow table.
        constants: Values of the placeholders outside of VALUES, the same in
            every row; SQLAlchemy numbers them first.
        size: How many rows there are.
        one_by_one: Never insert them in one statement.
    """

    def __init__(
        self, single: str, values: str, constants: Sequence[Any],
        columns: Sequence[Column], size: int, *,
        one_by_one: bool = False,
    ) -> None:  # fmt: skip
        self.single = single
        self.constants = constants
        self.size = size
        self.one_by_one = one_by_one
        self._columns = columns
        self.statement = single
        if not one_by_one:
            names = _PLACEHOLDER.sub(self._column_name, values)
            self.statement = single.replace(
                f"VALUES ({values})", f"SELECT {names} FROM {ROWS}"
            )

    def _column_name(self, placeholder: re.Match[str]) -> str:
        if placeholder[1] is None:
            return placeholder[0]
        return f'{ROWS}."{int(placeholder[1]) - 1 - len(self.constants)}"'

    def __repr__(self) -> str:
        return f"({self.size} rows in {len(self._columns)} columns)"

    def columns(self) -> list[list[Any]]:
        """
        The values as they are sent to the database.

        Raises:
            sqlalchemy.exc.StatementError: A value does not suit its column's type.
        """
        try:
            return [list(column.values()) for column in self._columns]
        except Exception as error:
            raise exc.StatementError(str(error), self.single, None, error) from error

    def rows(self) -> Iterable[list[Any]]:
        """
        The same values as parameters of `single`, row by row.
        """
        for row in zip(*self.columns(), strict=True):
            yield [*self.constants, *row]

    def arrow_table(self) -> pa.Table | None:
        """
        The values as an Arrow table; `None` if they have to go one by one.
        """
        if self.one_by_one:
            return None
        try:
            arrays = [
                _array(values, are_decimals=column.is_decimal)
                for column, values in zip(self._columns, self.columns(), strict=True)
            ]
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError):
            return None
        return pa.table(arrays, names=[str(i) for i in range(len(arrays))])


_ARROW_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    bytearray: pa.binary(),
    memoryview: pa.binary(),
    dt.date: pa.date32(),
    dt.timedelta: pa.month_day_nano_interval(),
}
_KINDS = (bool, int, float, str, bytes, bytearray, memoryview, dt.datetime, dt.date,
          dt.time, dt.timedelta, Decimal, uuid.UUID, list, tuple)  # fmt: skip


def _array(values: Sequence[Any], *, are_decimals: bool) -> pa.Array:
    """
    Values as an Arrow array that DuckDB stores just as it would the values.

    Only values of one kind are let through: Arrow would, for example, cut a
    datetime that follows a date down to its date.

    Raises:
        TypeError: Arrow might change what would be stored.
    """
    kinds = {_kind(kind) for kind in set(map(type, values)) - {type(None)}}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {int, Decimal}:
        kinds = {Decimal}
    if len(kinds) > 1:
        raise TypeError(kinds)
    kind = kinds.pop()
    if kind is Decimal and not are_decimals:
        raise TypeError(kind)  # all would get the same scale: 2 the text "2.00"
    if kind is uuid.UUID:
        return pa.array([v if v is None else str(v) for v in values], pa.string())
    if kind is dt.datetime:
        return pa.array(values, _timestamp_type(values))
    if kind is dt.time and any(v.tzinfo for v in values if v is not None):
        raise TypeError(kind)  # Arrow's times have no zone
    if kind in (list, tuple):
        items = [item for value in values if value for item in value]
        items_type = _array(items, are_decimals=are_decimals).type
        return pa.array(values, pa.list_(items_type))
    array = pa.array(values, _ARROW_TYPES.get(kind))
    if pa.types.is_decimal256(array.type):
        raise TypeError(array.type)  # more digits than DuckDB has
    return array


def _kind(kind: type) -> type:
    for known in _KINDS:
        if issubclass(kind, known):
            return known
    raise TypeError(kind)


def _timestamp_type(values: Sequence[dt.datetime | None]) -> pa.DataType:
    zones = {value.tzinfo is not None for value in values if value is not None}
    if len(zones) > 1:
        raise TypeError(zones)
    return pa.timestamp("us", "UTC") if zones.pop() else pa.timestamp("us")
