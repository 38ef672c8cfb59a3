"""
Many rows in one statement: executemany of an INSERT goes through columns.

DuckDB takes 0.4 ms or more for a row of parameters, but 2–5 µs for a row of an
Arrow table (duckdb-facts §4). So ``INSERT INTO t (a, b) VALUES ($1, $2)`` with
10,000 parameter sets becomes ``INSERT INTO t (a, b) SELECT …`` from an Arrow table
of 10,000 rows. Values are converted on the worker thread, not on the event loop.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from sqlalchemy import exc
from sqlalchemy.types import NULLTYPE

from project_architect_db.dialect.arrow_arrays import REFUSALS, arrow_arrays, depends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.types import TypeEngine

ROWS = "__architect_rows__"
"""The name the Arrow table is registered under while its statement runs."""

ROWS_PER_STATEMENT = 100_000
"""One Arrow batch, read by one thread: so the rows keep their order, and their
sequence gives out keys in that order."""

_NAME = r'"(?:[^"]|"")*"'
_QUOTED = rf"'(?:[^']|'')*'|{_NAME}"

_PLACEHOLDER = re.compile(rf"{_QUOTED}|\$(\d+)")
"""A placeholder with its number; a string or a name in quotes without one."""

_INSERT = re.compile(
    rf"\bINSERT\b(?P<how>[^(]*?)\bINTO\s+(?P<table>(?:{_NAME}|[^\s\"(])+)"
    rf"\s*(?P<columns>\((?:{_NAME}|[^\")])*\))?\s*(?P<values>VALUES)\s*\(",
    re.IGNORECASE,
)
_TAIL = re.compile(r"\s*(?:;?\s*$|ON\s+CONFLICT\b|RETURNING\b)", re.IGNORECASE)
_UPDATE = re.compile(
    rf"\s*ON\s+CONFLICT\s*(?P<keys>\((?:{_NAME}|[^\")])*\))?"
    rf"(?:{_QUOTED}|[^'\"])*?\bDO\s+UPDATE\b",
    re.IGNORECASE,
)
_BRACKET_OR_COMMA = re.compile(rf"{_QUOTED}|[][(){{}},]")

_DOUBTFUL = re.compile(r"--|/\*|;\s*\S|\$(?!\d)|\w\$|\w''")
"""What a piece of SQL may hide in, with its quoted parts left out: a comment, other
kinds of strings, a second statement."""


def placeholders(sql: str) -> list[int]:
    """
    The numbers of the placeholders in a piece of SQL, from left to right.
    """
    return [int(number) for number in _PLACEHOLDER.findall(sql) if number]


def is_plain_insert(sql: str) -> bool:
    """
    Whether a piece of SQL is surely one INSERT, written so that we understand it.
    """
    bare = re.sub(_QUOTED, "''", sql.strip())
    return bare[:6].upper() == "INSERT" and not _DOUBTFUL.search(bare)


class InsertText(NamedTuple):
    """
    An ``INSERT INTO table (columns) VALUES (values)`` and what may follow.

    Attributes:
        sql: All of it.
        head: What comes before VALUES.
        values: The expressions between its parentheses; empty if there are none.
        tail: What comes after them.
        table: The name of the table, in SQL.
        columns: The names of its columns, in SQL; empty if they are not given.
        keys: The columns by which it finds rows to update: empty if it updates
            none, `None` if it does not say.
    """

    sql: str
    head: str
    values: list[str]
    tail: str
    table: str
    columns: list[str]
    keys: list[str] | None

    @classmethod
    def parse(cls, sql: str) -> InsertText:
        """
        The parts of a piece of SQL; all is head if it is no INSERT of one row.
        """
        match = _INSERT.search(sql)
        values, end = _parts(sql, match.end()) if match else ([], 0)
        if match is None or not _TAIL.match(sql, end):
            return cls(sql, sql, [], "", "", [], [])
        update = _UPDATE.match(sql, end)
        keys: list[str] | None = []
        if update or "REPLACE" in match["how"].upper():
            keys = _names(update["keys"]) if update and update["keys"] else None
        return cls(sql, sql[: match.start("values")], values, sql[end:],
                   match["table"], _names(match["columns"] or "()"), keys)  # fmt: skip

    @property
    def inside(self) -> set[int]:
        """
        The numbers of the placeholders among the values, wherever they are.
        """
        return set(placeholders(",".join(self.values or [self.head])))

    @property
    def targets(self) -> dict[int, str]:
        """
        The columns that store a parameter as it is, by the parameter's number.
        """
        columns = self.columns or [f"#{n}" for n in range(1, len(self.values) + 1)]
        return {
            int(value[1:]): column
            for column, value in zip(columns, self.values, strict=False)
            if re.fullmatch(r"\$\d+", value)
        }


def _parts(sql: str, start: int) -> tuple[list[str], int]:
    """
    What stands between a parenthesis and its partner, comma by comma, and its end.
    """
    parts, depth = [], 0
    for match in _BRACKET_OR_COMMA.finditer(sql, start):
        if match[0] in tuple("([{"):
            depth += 1
        elif depth == 0 and match[0] in tuple(",)"):
            parts.append(sql[start : match.start()].strip())
            start = match.end()
            if match[0] == ")":
                return parts, start
        elif match[0] in tuple(")]}"):
            depth -= 1
    return parts, 0


def _names(columns: str) -> list[str]:
    return [name for name in _parts(columns, 1)[0] if name]


def _is_name(one: str, other: str) -> bool:
    return one.strip('"').lower() == other.strip('"').lower()


class Column(NamedTuple):
    """
    One parameter of all rows.

    Attributes:
        values: Gives its values, ready for the database.
        type_: As which they are declared.
    """

    values: Callable[[], Iterable[Any]]
    type_: TypeEngine[Any] = NULLTYPE


class RowsInsert:
    """
    The parameters of an INSERT of many rows, by column.

    Args:
        insert: The statement for one row, with all its placeholders.
        parameters: The values of all placeholders for the first row.
        columns: The parameters that differ from row to row, by their number.
        size: How many rows there are.
        one_by_one: Never insert them in one statement.

    Attributes:
        single: The statement for one row.
        constants: Values of the placeholders that are the same in every row.
        mixed: The columns that are stored by their type in the table: how many
            kinds of values they have, by their number.
    """

    def __init__(
        self, insert: InsertText, parameters: Sequence[Any],
        columns: Mapping[int, Column], size: int, *, one_by_one: bool = False,
    ) -> None:  # fmt: skip
        self.single = insert.sql
        self.size = size
        self.mixed: dict[int, int] = {}
        self._insert = insert
        self._parameters = parameters
        self._columns = columns
        outside = {*placeholders(insert.head), *placeholders(insert.tail)}
        # An upsert may set what each row says: that cannot be read from a table.
        self.one_by_one = one_by_one or not columns or not outside.isdisjoint(columns)
        numbers = sorted({*outside, *insert.inside} - columns.keys())
        self.constants = [parameters[number - 1] for number in numbers]
        self._place = {number: place for place, number in enumerate(numbers, start=1)}
        self.statement = self.single if self.one_by_one else self.from_table({})

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
            if self.mixed.get(number, 1) == 1:
                return f'{ROWS}."{number}"'
            casts = [
                f'CAST({ROWS}."{number}.{part}" AS {types[number]})'
                for part in range(self.mixed[number])
            ]
            return f"COALESCE({', '.join(casts)})"

        insert = self._insert
        values = ", ".join(insert.values)
        text = f"{insert.head}SELECT {values} FROM {ROWS}{insert.tail}"
        return _PLACEHOLDER.sub(replaced, text)

    def types_query(self) -> str | None:
        """
        A query whose result has the types of the columns that are `mixed`.

        `None` where no column has the type. Nor may one that is not named be cast
        to: a generated column may stand before it.
        """
        targets = self._insert.targets
        is_named = bool(self._insert.columns)
        if not all(
            number in targets and (is_named or kinds == 1)
            for number, kinds in self.mixed.items()
        ):
            return None
        names = ", ".join(targets[number] for number in self.mixed)
        return f"SELECT {names} FROM {self._insert.table} LIMIT 0"

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
        columns = dict(zip(self._columns, self.columns(), strict=True))
        try:
            if self._meets_itself(columns):
                return None
            for number, values in columns.items():
                type_ = self._columns[number].type_
                kinds = arrow_arrays(values, type_)
                if len(kinds) > 1 or depends(kinds[0], type_):
                    self.mixed[number] = len(kinds)
                for part, array in enumerate(kinds):
                    name = f"{number}.{part}" if len(kinds) > 1 else f"{number}"
                    arrays[name] = array
        except REFUSALS:
            return None
        return pa.table(arrays)

    def _meets_itself(self, columns: Mapping[int, Sequence[Any]]) -> bool:
        """
        Whether one row might update another: DuckDB would forget the second one.
        """
        keys, targets = self._insert.keys, self._insert.targets
        if not keys:
            return keys is None
        found = [n for key in keys for n in targets if _is_name(targets[n], key)]
        lists = [columns[number] for number in found if number in columns]
        if len(found) < len(keys):
            return True
        return len(set(zip(*lists, strict=True))) < self.size
