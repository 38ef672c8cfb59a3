"""
How one statement is run: its cursor, and its parameters by column.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Table, exc
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.engine.interfaces import ExecuteStyle
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.ddl import CreateTableAs
from sqlalchemy.types import NULLTYPE
from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect.columnar import (
    ROWS_PER_STATEMENT,
    Column,
    RowsStatement,
)
from project_architect_db.dialect.ddl_compiler import (
    implicit_sequence,
    implicit_sequence_column,
)
from project_architect_db.dialect.foreign_keys import Index
from project_architect_db.dialect.row_texts import (
    DeletedRows,
    InsertText,
    KeyedText,
    is_plain_insert,
)
from project_architect_db.errors import ArchitectError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sqlalchemy.types import TypeEngine

    from project_architect_db.dialect.adapter import DuckDBCursor
    from project_architect_db.dialect.driver import DriverConnection


current_operation: ContextVar[str | None] = ContextVar("operation", default=None)
"""What the application is doing, for hooks; the execution option `operation` goes
first."""


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
    """The parameter sets of a statement for many rows."""
    _given: AbstractSet[str]
    """The parameters that the caller gave with each row."""

    @classmethod
    def _init_compiled(
        cls, dialect: Any, connection: Any, dbapi_connection: Any,
        execution_options: Any, compiled: SQLCompiler, parameters: Any,
        *args: Any, **kwargs: Any,
    ) -> DefaultExecutionContext:  # fmt: skip
        """
        Prepare a statement for many rows without touching each value of each row.

        SQLAlchemy would build a dict and a list for every row, on the event
        loop: most of the time of a bulk INSERT. So it is shown the first row
        alone, and the others are read by column, on the worker thread.
        """
        by_column = (
            len(parameters) > 1
            and (_inserts_values(compiled) or _is_keyed(compiled))
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
            prefetch = compiled.insert_prefetch or compiled.update_prefetch
            for column in prefetch:
                added[compiled._within_exec_param_key_getter(column)] = None
            self.compiled_parameters = [{**added, **row} for row in rows[1:]]
            if prefetch:
                self._process_execute_defaults()
            self.compiled_parameters.insert(0, first)
        self._rows = self.compiled_parameters
        if not self.isinsert:
            self.execute_style = ExecuteStyle.EXECUTEMANY
            return
        self.execute_style = ExecuteStyle.INSERTMANYVALUES
        imv = compiled._insertmanyvalues
        if imv.sentinel_columns is not None:
            self._num_sentinel_cols = imv.num_sentinel_columns

    def rows_inserts(self, statement: str) -> Iterator[RowsStatement]:
        """
        The INSERT of many rows, in pieces of at most 100,000.
        """
        rows, names = self._rows, self.compiled.positiontup
        insert = self._insert_text(statement)
        imv = self.compiled._insertmanyvalues
        # Since DuckDB 2.0.1 an upsert returns the rows that it updated before those
        # it inserted.
        one_by_one = self._refers_to_itself() or (
            imv.includes_upsert_behaviors and imv.sort_by_parameter_order
        )
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            piece = rows[start : start + ROWS_PER_STATEMENT]
            columns = {
                number: self._column(piece, name)
                for number, name in enumerate(names, start=1)
                if number in insert.inside or name in self._given
            }
            yield RowsStatement(
                insert, self.parameters[0], columns, len(piece), one_by_one=one_by_one
            )

    def _column(self, rows: Sequence[Mapping[str, Any]], name: str) -> Column:
        type_ = self.compiled.binds[name].type
        processor = self.compiled._bind_processors.get(name)
        if processor is None:
            return Column(lambda: [row[name] for row in rows], type_)
        return Column(lambda: [processor(row[name]) for row in rows], type_)

    def _insert_text(self, statement: str) -> InsertText:
        insert = InsertText.parse(statement)
        if insert.keys is not None or not self.isinsert:
            return insert
        # An INSERT OR REPLACE; DuckDB refuses it where there is more than one key.
        key = self.compiled.compile_state.dml_table.primary_key
        names = [self.identifier_preparer.format_column(column) for column in key]
        return insert._replace(keys=names or None)

    def _refers_to_itself(self) -> bool:
        """
        Whether a FOREIGN KEY demands that a row is there before its children.

        DuckDB finds no parent among the rows of the same statement.
        """
        if not (self.dialect.emit_foreign_keys and self.isinsert):
            return bool(self.dialect.emit_foreign_keys)  # its SQL does not tell
        table = self.compiled.compile_state.dml_table
        return any(key.column.table is table for key in table.foreign_keys)

    def rows_statement(self) -> RowsStatement | None:
        """
        An executemany that SQLAlchemy leaves to the DBAPI, such as an UPDATE.
        """
        if self._rows is None:
            return self._plain_insert()
        text = cast("KeyedText", KeyedText.parse(self.statement))
        columns = {
            number: self._column(self._rows, name)
            for number, name in enumerate(self.compiled.positiontup, start=1)
        }
        return RowsStatement(text, self.parameters[0], columns, len(self._rows))

    def _plain_insert(self) -> RowsStatement | None:
        rows, sql = self.parameters, self.statement
        if not (self.isinsert or is_plain_insert(sql)):
            return None
        insert = self._insert_text(sql)
        size = max(insert.inside, default=0) if self.compiled is None else len(rows[0])
        if not insert.values or set(map(len, rows)) != {size}:
            return None
        binds: list[Any] = [None] * size
        if self.compiled is not None:
            binds = [self.compiled.binds[name] for name in self.compiled.positiontup]
        columns = {
            number: Column(
                lambda i=number - 1: [row[i] for row in rows],  # type: ignore[misc]
                NULLTYPE if bind is None else bind.type,
            )
            for number, bind in enumerate(binds, start=1)
            if bind is None or number in insert.inside or not bind.unique
        }
        one_by_one = self._refers_to_itself()
        return RowsStatement(insert, rows[0], columns, len(rows), one_by_one=one_by_one)

    def post_exec(self) -> None:
        """
        Called by SQLAlchemy after a compiled statement has run.
        """
        table = self._written_table
        if table is not None and not self.dialect.emit_foreign_keys:
            try:
                deleted = cast("DuckDBCursor", self.cursor).deleted
                self._driver.references.after(self, table, deleted)
            except ArchitectError as error:
                # The statement has run already, and must not be committed.
                await_(self._driver.fail(error))
                raise
        if table is not None and not self._driver.autocommit:
            self._driver.changes.note(self, table)

    def returned_rows(self) -> list[tuple[Any, ...]] | None:
        """
        What RETURNING answered; `None` while the rows are in the database.
        """
        if self.execute_style is ExecuteStyle.INSERTMANYVALUES:
            return self._insertmanyvalues_rows
        cursor: Any = self.cursor
        rows: list[tuple[Any, ...]] | None = cursor.returned_rows
        return rows

    @property
    def _driver(self) -> DriverConnection:
        driver: DriverConnection = self._dbapi_connection.driver_connection
        return driver

    @property
    def _written_table(self) -> Table | None:
        """
        The table that an INSERT, UPDATE or DELETE writes, where it is all it writes.
        """
        compiled: Any = self.compiled
        if not isinstance(compiled, SQLCompiler) or not self.is_crud or compiled.ctes:
            return None
        table = compiled.compile_state.dml_table  # type: ignore[union-attr]
        return table if isinstance(table, Table) else None

    @property
    def _only_appends(self) -> bool:
        """
        Whether it leaves the rows that are there as they are.
        """
        statement: Any = self.compiled.statement
        return bool(
            self.isinsert
            and not statement._prefixes  # OR REPLACE
            and getattr(statement, "_post_values_clause", None) is None
        )

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
        self._driver.references.use(self.root_connection)
        options = self.execution_options
        cursor.operation = options.get("operation") or current_operation.get()
        cursor.keeps_rows = self.isddl and not isinstance(
            self.compiled.statement, CreateTableAs
        )
        if (table := self._written_table) is not None:
            cursor.tables = frozenset((table.name,))
            cursor.deleted = self._to_be_deleted(table)
            cursor.appends = self._only_appends
        elif "writes" in options:
            cursor.tables = frozenset(options["writes"])
        return cursor

    def _to_be_deleted(self, table: Table) -> DeletedRows | None:
        """
        What children of the rows that a DELETE deletes may refer to.
        """
        if not self.isdelete or self.dialect.emit_foreign_keys:
            return None
        columns = Index.of(table.metadata).referred(table).values()
        names = [self.identifier_preparer.format_column(column) for column in columns]
        return DeletedRows(names, []) if names else None

    def get_insert_default(self, column: Any) -> Any:
        """
        The next key, for the rare table that forbids RETURNING.
        """
        counting = implicit_sequence_column(column.table)
        if counting is None or counting is not column:
            return super().get_insert_default(column)
        return self.fire_sequence(implicit_sequence(counting.table), counting.type)

    def fire_sequence(self, seq: Any, type_: TypeEngine[Any]) -> Any:
        """
        The next value of a sequence.
        """
        name = self.identifier_preparer.format_sequence(seq).replace("'", "''")
        return self._execute_scalar(f"SELECT nextval('{name}')", type_)


def _inserts_values(compiled: Any) -> bool:
    imv = compiled._insertmanyvalues
    return bool(
        compiled.isinsert
        and imv is not None
        and imv.num_positional_params_counted > 0
        and not any(column._insert_sentinel for column in compiled.insert_prefetch)
    )


def _is_keyed(compiled: Any) -> bool:
    """
    Whether it is an UPDATE or DELETE of one row by its key.
    """
    return (
        (compiled.isupdate or compiled.isdelete)
        and not compiled.schema_translate_map
        and KeyedText.parse(compiled.string) is not None
    )


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
