"""
How one statement is run: its cursor, and its parameters by column.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc
from sqlalchemy import types as sqltypes
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.sql.compiler import SQLCompiler

from project_architect_db.dialect.columnar import (
    ROWS_PER_STATEMENT,
    Column,
    RowsInsert,
    placeholders,
    plain_values,
)
from project_architect_db.dialect.compiler import implicit_sequence_column
from project_architect_db.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sqlalchemy.types import TypeEngine

    from project_architect_db.dialect.adapter import DuckDBCursor


class DuckDBExecutionContext(DefaultExecutionContext):
    """
    One execution of a statement.
    """

    _dbapi_connection: Any
    compiled: Any
    compiled_parameters: Any
    dialect: Any
    parameters: Any
    _rows: Any = None
    """The parameter sets of an INSERT of many rows."""
    _given: AbstractSet[str]
    """The parameters that the caller gave with each row."""

    @classmethod
    def _init_compiled(
        cls, dialect: Any, connection: Any, dbapi_connection: Any,
        execution_options: Any, compiled: SQLCompiler, parameters: Any,
        *args: Any, **kwargs: Any,
    ) -> DefaultExecutionContext:  # fmt: skip
        """
        Prepare an INSERT of many rows without touching each value of each row.

        SQLAlchemy would build a dict and a list for every row, on the event
        loop: most of the time of a bulk INSERT. So it is shown the first row
        alone, and the others are read by column, on the worker thread.
        """
        by_column = (
            len(parameters) > 1
            and compiled.isinsert
            and compiled._insertmanyvalues is not None
            and compiled._insertmanyvalues.num_positional_params_counted > 0
            and not any(c._insert_sentinel for c in compiled.insert_prefetch)
            and all(
                (bind.key == name or bind.unique) and bind.callable is None
                for bind, name in compiled.bind_names.items()
            )
        )
        self: Any = super()._init_compiled(
            dialect, connection, dbapi_connection, execution_options, compiled,
            parameters[:1] if by_column else parameters, *args, **kwargs,
        )  # fmt: skip
        if by_column:
            self._take_rows(parameters)
        context: DuckDBExecutionContext = self
        return context

    def _take_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        first, compiled = self.compiled_parameters[0], self.compiled
        given = self._given = rows[0].keys()
        for number, row in enumerate(rows):
            if row.keys() != given and (missing := given - row.keys()):
                raise exc.InvalidRequestError(
                    f"A value is required for bind parameter {min(missing)!r}, "
                    f"in parameter group {number}"
                )
        # What the statement or the defaults of its columns add to each row.
        added = {name: first[name] for name in first.keys() - given}
        if not added:
            self.compiled_parameters = list(rows)
        else:
            for column in compiled.insert_prefetch:
                added[compiled._within_exec_param_key_getter(column)] = None
            self.compiled_parameters = [{**added, **row} for row in rows[1:]]
            if compiled.insert_prefetch:
                self._process_execute_defaults()
            self.compiled_parameters.insert(0, first)
        self._rows = self.compiled_parameters
        self.execute_style = ExecuteStyle.INSERTMANYVALUES
        imv = compiled._insertmanyvalues
        if imv.sentinel_columns is not None:
            self._num_sentinel_cols = imv.num_sentinel_columns

    def rows_inserts(self, statement: str) -> Iterator[RowsInsert]:
        """
        The INSERT of many rows, in pieces of at most 100,000.
        """
        compiled, rows = self.compiled, self._rows
        names = compiled.positiontup
        imv = compiled._insertmanyvalues
        values = imv.single_values_expr
        if compiled.schema_translate_map:
            values = compiled.preparer._render_schema_translates(
                values, self.execution_options.get("schema_translate_map", {})
            )
        inside = set(placeholders(values))
        # Since DuckDB 2.0.1 an upsert returns the rows that it updated before those
        # it inserted.
        one_by_one = self._refers_to_itself() or (
            imv.includes_upsert_behaviors and imv.sort_by_parameter_order
        )
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            piece = rows[start : start + ROWS_PER_STATEMENT]
            yield RowsInsert(
                statement,
                values,
                self.parameters[0],
                {
                    number: self._column(piece, name)
                    for number, name in enumerate(names, start=1)
                    if number in inside or name in self._given
                },
                len(piece),
                one_by_one=one_by_one,
            )

    def _column(self, rows: Sequence[Mapping[str, Any]], name: str) -> Column:
        processor = self.compiled._bind_processors.get(name)
        if processor is None:
            return self._typed(name, lambda: [row[name] for row in rows])
        return self._typed(name, lambda: [processor(row[name]) for row in rows])

    def _typed(self, name: str, values: Callable[[], list[Any]]) -> Column:
        type_ = self.compiled.binds[name].type
        column = self.compiled.compile_state.dml_table.c.get(name)
        target = None
        if column is not None and not type_._has_bind_expression:
            target = self.identifier_preparer.format_column(column)
        return Column(values, self._is_decimal(name), target)

    def _is_decimal(self, name: str) -> bool:
        type_ = self.compiled.binds[name].type
        item_type = getattr(type_, "item_type", type_)
        return item_type._type_affinity is sqltypes.Numeric

    def _refers_to_itself(self) -> bool:
        """
        Whether a FOREIGN KEY demands that a row is there before its children.

        DuckDB finds no parent among the rows of the same statement.
        """
        table = self.compiled.compile_state.dml_table
        return self.dialect.emit_foreign_keys and any(
            key.column.table is table for key in table.foreign_keys
        )

    def plain_rows_insert(self) -> RowsInsert | None:
        """
        An executemany that SQLAlchemy leaves to the DBAPI, such as an upsert.
        """
        rows = self.parameters
        values = plain_values(self.statement) if self.isinsert else None
        if values is None:
            return None
        inside, binds = set(placeholders(values)), self.compiled.binds
        columns = {
            number: self._typed(name, lambda i=number - 1: [row[i] for row in rows])  # type: ignore[misc]
            for number, name in enumerate(self.compiled.positiontup, start=1)
            if number in inside or not binds[name].unique
        }
        return RowsInsert(self.statement, values, rows[0], columns, len(rows))

    def create_default_cursor(self) -> DuckDBCursor:  # type: ignore[override]
        """
        A cursor that knows what its statement writes and when to stop it.
        """
        return self._prepared(self._dbapi_connection.cursor())

    def create_server_side_cursor(self) -> DuckDBCursor:  # type: ignore[override]
        """
        A cursor that leaves the rows in the database.
        """
        return self._prepared(self._dbapi_connection.cursor(stream=True))

    def _prepared(self, cursor: DuckDBCursor) -> DuckDBCursor:
        if "timeout" in self.execution_options:
            seconds = self.execution_options["timeout"]
            cursor.timeout = None if seconds is None else in_seconds("timeout", seconds)
        compiled = self.compiled
        if isinstance(compiled, SQLCompiler) and self.is_crud and not compiled.ctes:
            table = compiled.compile_state.dml_table  # type: ignore[union-attr]
            cursor.tables = frozenset((table.name,))
        return cursor

    def get_insert_default(self, column: Any) -> Any:
        """
        The next key, for the rare table that forbids RETURNING.
        """
        counting = implicit_sequence_column(column.table)
        if counting is None or counting is not column:
            return super().get_insert_default(column)
        ddl = self.dialect.ddl_compiler(self.dialect, None)
        return self.fire_sequence(ddl.implicit_sequence(counting.table), counting.type)

    def fire_sequence(self, seq: Any, type_: TypeEngine[Any]) -> Any:
        """
        The next value of a sequence.
        """
        name = self.identifier_preparer.format_sequence(seq).replace("'", "''")
        return self._execute_scalar(f"SELECT nextval('{name}')", type_)


def in_seconds(name: str, value: Any) -> float:
    """
    The length of a timeout, or a `ConfigurationError`.
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0
    if not 0 < seconds < math.inf:
        raise ConfigurationError(f"{name}={value}: expected a number of seconds")
    return seconds
