"""
Many rows in one statement: executemany goes through columns.

DuckDB takes 0.4 ms or more for a row of parameters, but 2–5 µs for a row of an
Arrow table (duckdb-facts §4). So ``INSERT INTO t (a, b) VALUES ($1, $2)`` with
10,000 parameter sets becomes ``INSERT INTO t (a, b) SELECT …`` from an Arrow table
of 10,000 rows; an UPDATE or DELETE by key is joined with it. Values are converted on
the worker thread, not on the event loop.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from sqlalchemy import exc
from sqlalchemy.types import NULLTYPE

from project_architect_db.dialect.arrow_arrays import REFUSALS, arrow_arrays, depends
from project_architect_db.dialect.row_texts import PLACEHOLDER, ROWS, is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy.types import TypeEngine

    from project_architect_db.dialect.row_texts import InsertText, KeyedText

ROWS_PER_STATEMENT = 100_000
"""One Arrow batch, read by one thread: so the rows keep their order, and their
sequence gives out keys in that order."""


class Column(NamedTuple):
    """
    One parameter of all rows.

    Attributes:
        values: Gives its values, ready for the database.
        type_: As which they are declared.
    """

    values: Callable[[], Iterable[Any]]
    type_: TypeEngine[Any] = NULLTYPE


class RowsStatement:
    """
    The parameters of a statement for many rows, by column.

    Args:
        text: The statement for one row, with all its placeholders.
        parameters: The values of all placeholders for the first row.
        columns: The parameters that differ from row to row, by their number.
        size: How many rows there are.
        one_by_one: Never send them in one statement.

    Attributes:
        single: The statement for one row.
        constants: Values of the placeholders that are the same in every row.
        mixed: The columns that are stored by their type in the table: how many
            kinds of values they have, by their number.
    """

    def __init__(
        self, text: InsertText | KeyedText, parameters: Sequence[Any],
        columns: Mapping[int, Column], size: int, *, one_by_one: bool = False,
    ) -> None:  # fmt: skip
        self.single = text.sql
        self.size = size
        self.mixed: dict[int, int] = {}
        self._text = text
        self._parameters = parameters
        self._columns = columns
        outside = text.outside
        # An upsert may set what each row says: that cannot be read from a table.
        self.one_by_one = one_by_one or not columns or not outside.isdisjoint(columns)
        numbers = sorted({*outside, *text.inside} - columns.keys())
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

        return PLACEHOLDER.sub(replaced, self._text.template)

    def types_query(self) -> str | None:
        """
        A query whose result has the types of the columns that are `mixed`.

        `None` where no column has the type. Nor may one that is not named be cast
        to: a generated column may stand before it.
        """
        targets = self._text.targets
        if not all(
            number in targets and (self._text.is_named or kinds == 1)
            for number, kinds in self.mixed.items()
        ):
            return None
        names = ", ".join(targets[number] for number in self.mixed)
        return f"SELECT {names} FROM {self._text.table} LIMIT 0"

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
        Whether two rows have the same key: DuckDB would forget one of them.
        """
        keys, targets = self._text.keys, self._text.targets
        if not keys:
            return keys is None
        found = [n for key in keys for n in targets if is_name(targets[n], key)]
        lists = [columns[number] for number in found if number in columns]
        if len(found) < len(keys):
            return True
        return len(set(zip(*lists, strict=True))) < self.size
