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
    from collections.abc import Callable, Iterable, Mapping, Sequence

ROWS = "__architect_rows__"
"""The name the Arrow table is registered under while its statement runs."""

ROWS_PER_STATEMENT = 100_000
"""One Arrow batch, read by one thread: so the rows keep their order, and their
sequence gives out keys in that order."""

_PLACEHOLDER = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)""")
"""A placeholder with its number; a string or a name in quotes without one."""

_PLAIN_VALUES = re.compile(r"\bVALUES \((\$\d+(?:, \$\d+)*)\)")

_INTO = re.compile(r'\bINTO ((?:"(?:[^"]|"")*"|[^\s"(])+)')
"""The table of an INSERT."""


def placeholders(sql: str) -> list[int]:
    """
    The numbers of the placeholders in a piece of SQL, from left to right.
    """
    return [int(number) for number in _PLACEHOLDER.findall(sql) if number]


def plain_values(sql: str) -> str | None:
    """
    What stands between the parentheses of VALUES, if it is nothing but placeholders.
    """
    match = _PLAIN_VALUES.search(sql)
    return match and match[1]


class Column(NamedTuple):
    """
    One parameter of all rows.

    Attributes:
        values: Gives its values, ready for the database.
        is_decimal: It is stored as DECIMAL (or a list of them).
        target: The column of the table that stores it as it is, in SQL.
    """

    values: Callable[[], Iterable[Any]]
    is_decimal: bool = False
    target: str | None = None


class RowsInsert:
    """
    The parameters of an INSERT of many rows, by column.

    Args:
        single: The statement for one row, with all its placeholders.
        values: What stands between the parentheses of its VALUES.
        parameters: The values of all placeholders for the first row.
        columns: The parameters that differ from row to row, by their number.
        size: How many rows there are.
        one_by_one: Never insert them in one statement.

    Attributes:
        constants: Values of the placeholders that are the same in every row.
        mixed: How many kinds of values there are in a column, by its number.
    """

    def __init__(
        self, single: str, values: str, parameters: Sequence[Any],
        columns: Mapping[int, Column], size: int, *,
        one_by_one: bool = False,
    ) -> None:  # fmt: skip
        self.single = single
        self.size = size
        self.mixed: dict[int, int] = {}
        self._parameters = parameters
        self._columns = columns
        self._head, _, self._tail = single.partition(f"VALUES ({values})")
        self._values = values
        outside = {*placeholders(self._head), *placeholders(self._tail)}
        # An upsert may set what each row says: that cannot be read from a table.
        self.one_by_one = one_by_one or not columns or not outside.isdisjoint(columns)
        numbers = sorted({*outside, *placeholders(values)} - columns.keys())
        self.constants = [parameters[number - 1] for number in numbers]
        self._place = {number: place for place, number in enumerate(numbers, start=1)}
        self.statement = single if self.one_by_one else self.from_table({})

    def from_table(self, types: Mapping[int, str]) -> str:
        """
        The statement for all rows, reading from the Arrow table.

        Args:
            types: In SQL, of the columns that are `mixed`.
        """

        def replaced(match: re.Match[str]) -> str:
            if match[1] is None:  # in quotes
                return match[0]
            number = int(match[1])
            if number in self._place:
                return f"${self._place[number]}"
            if number not in types:
                return f'{ROWS}."{number}"'
            casts = [
                f'CAST({ROWS}."{number}.{part}" AS {types[number]})'
                for part in range(self.mixed[number])
            ]
            return f"COALESCE({', '.join(casts)})"

        text = f"{self._head}SELECT {self._values} FROM {ROWS}{self._tail}"
        return _PLACEHOLDER.sub(replaced, text)

    def types_query(self) -> str | None:
        """
        A query whose result has the types of the columns that are `mixed`.
        """
        table = _INTO.search(self.single)
        targets = [self._columns[number].target for number in self.mixed]
        if table is None or None in targets:
            return None
        return f"SELECT {', '.join(map(str, targets))} FROM {table[1]} LIMIT 0"

    def __repr__(self) -> str:
        return f"({self.size} rows in {len(self._columns)} columns)"

    def columns(self) -> list[list[Any]]:
        """
        The values as they are sent to the database.

        Raises:
            sqlalchemy.exc.StatementError: A value does not suit its column's type.
        """
        try:
            return [list(column.values()) for column in self._columns.values()]
        except Exception as error:
            raise exc.StatementError(str(error), self.single, None, error) from error

    def rows(self) -> Iterable[list[Any]]:
        """
        The same values as parameters of `single`, row by row.
        """
        for _, *row in zip(range(self.size), *self.columns(), strict=True):
            parameters = list(self._parameters)
            for number, value in zip(self._columns, row, strict=True):
                parameters[number - 1] = value
            yield parameters

    def arrow_table(self) -> pa.Table | None:
        """
        The values as an Arrow table; `None` if they have to go one by one.

        A column of several kinds of values, see `mixed`, is a column for each.
        """
        if self.one_by_one:
            return None
        arrays: dict[str, pa.Array] = {}
        try:
            for (number, column), values in zip(
                self._columns.items(), self.columns(), strict=True
            ):
                parts = _by_kind(values)
                if len(parts) > 1:
                    self.mixed[number] = len(parts)
                for part, of_a_kind in enumerate(parts):
                    name = f"{number}.{part}" if len(parts) > 1 else f"{number}"
                    arrays[name] = _array(of_a_kind, are_decimals=column.is_decimal)
        except (pa.ArrowException, OverflowError, UnicodeError, TypeError):
            return None
        return pa.table(arrays)


class _Aware:
    """
    The kind of a datetime with a zone.
    """


_ARROW_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    bytearray: pa.binary(),
    memoryview: pa.binary(),
    dt.datetime: pa.timestamp("us"),
    _Aware: pa.timestamp("us", "UTC"),
    dt.date: pa.date32(),
    dt.timedelta: pa.month_day_nano_interval(),
}
_KINDS = (bool, int, float, str, bytes, bytearray, memoryview, dt.date,
          dt.time, dt.timedelta, Decimal, uuid.UUID, list, tuple)  # fmt: skip


def _by_kind(values: list[Any]) -> list[list[Any]]:
    """
    The values, once for each kind of them, with `None` for those of other kinds.

    Arrow would, for example, cut a datetime that follows a date down to its date.
    """
    types = set(map(type, values)) - {type(None)}
    if len(types) <= 1 and not any(issubclass(type_, dt.datetime) for type_ in types):
        return [values]
    kinds = [None if value is None else _kind(value) for value in values]
    return [
        [v if of is kind else None for v, of in zip(values, kinds, strict=True)]
        for kind in dict.fromkeys(kinds)
        if kind is not None
    ]


def _array(values: Sequence[Any], *, are_decimals: bool) -> pa.Array:
    """
    Values of one kind as an Arrow array that DuckDB stores just as it would them.

    Raises:
        TypeError: Arrow might change what would be stored.
    """
    first = next((value for value in values if value is not None), None)
    if first is None:
        return pa.nulls(len(values))
    kind = _kind(first)
    if kind is Decimal and not are_decimals:
        raise TypeError(kind)  # all would get the same scale: 2 the text "2.00"
    if kind is uuid.UUID:
        return pa.array([v if v is None else str(v) for v in values], pa.string())
    if kind is dt.time and any(v.tzinfo for v in values if v is not None):
        raise TypeError(kind)  # Arrow's times have no zone
    if kind in (list, tuple):
        items = [item for value in values if value for item in value]
        if len(_by_kind(items)) > 1:
            raise TypeError(kind)
        items_type = _array(items, are_decimals=are_decimals).type
        return pa.array(values, pa.list_(items_type))
    try:
        array = pa.array(values, _ARROW_TYPES.get(kind))
    except OverflowError:
        array = pa.array(values, pa.uint64())
    if pa.types.is_decimal256(array.type):
        raise TypeError(array.type)  # more digits than DuckDB has
    return array


def _kind(value: object) -> type:
    if isinstance(value, dt.datetime):
        return dt.datetime if value.tzinfo is None else _Aware
    for kind in _KINDS:
        if isinstance(value, kind):
            return kind
    raise TypeError(type(value))
