"""
What `alembic revision --autogenerate` compares on DuckDB.

The models are created in an empty database in memory, and what its catalog says of
them is compared with what the catalog of the real one says. So types, defaults,
generated columns and indexes are equal if, and only if, DuckDB takes them for equal.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from alembic.autogenerate import comparators
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Computed, Identity, Sequence, create_engine, exc
from sqlalchemy.schema import CreateIndex, CreateSchema, CreateSequence, CreateTable

from project_architect_db.dialect.alembic_tables import read_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import AlterColumnOp, UpgradeOps
    from sqlalchemy import Column, Connection, MetaData, Table

    from project_architect_db.dialect.alembic_tables import ColumnPart, TableParts

log = logging.getLogger(__name__)

_COMPARISON = "project_architect_db.comparison"


class Comparison:
    """
    The tables of the models beside those of the database, both as DuckDB sees them.
    """

    def __init__(self, connection: Connection, models: Collection[MetaData]) -> None:
        self._connection = connection
        self._wanted = {(t.schema, t.name): t for t in _created(models)}
        self._found: dict[str | None, dict[str, TableParts]] = {}

    def tables(self, table: Table) -> tuple[TableParts, TableParts] | None:
        """
        A table of the models: as it is, and as it is wanted.

        Returns:
            `None` if it cannot be created on its own.
        """
        key = (table.schema, table.name)
        if key not in self._wanted:
            return None
        return self.found(table), self._wanted[key]

    def found(self, table: Table) -> TableParts:
        """
        The table of that name in the database.
        """
        schema = table.schema
        if schema not in self._found:
            self._found[schema] = read_tables(self._connection, schema)
        return self._found[schema][table.name]

    def columns(self, column: Column[Any]) -> tuple[ColumnPart, ColumnPart] | None:
        """
        A column of the models: as it is, and as it is wanted.
        """
        pair = self.tables(column.table)
        if pair is None:
            return None
        found, wanted = pair
        return found.column(column.name), wanted.column(column.name)


def comparison_of(impl: Any) -> Comparison:
    """
    What the autogenerate that runs right now compares.
    """
    found: Comparison = impl.memo[_COMPARISON]
    return found


def is_running(impl: Any) -> bool:
    """
    Whether tables are reflected for autogenerate, not for anything else.
    """
    return _COMPARISON in impl.memo


def _created(models: Collection[MetaData]) -> list[TableParts]:
    """
    The tables of the models after CREATE TABLE, without any event of them.
    """
    engine = create_engine("duckdb+async://")
    try:
        with engine.connect() as connection:
            alone = connection.execution_options(isolation_level="AUTOCOMMIT")
            return [t for metadata in models for t in _created_there(alone, metadata)]
    finally:
        engine.dispose()


def _created_there(connection: Connection, metadata: MetaData) -> Iterator[TableParts]:
    counters = metadata._sequences.values()
    named = [*metadata.tables.values(), *counters]
    for schema in sorted({item.schema for item in named if item.schema}):
        connection.execute(CreateSchema(schema, if_not_exists=True))
    for counter in counters:
        connection.execute(CreateSequence(counter, if_not_exists=True))
    created = [t for t in metadata.tables.values() if _is_created(connection, t)]
    for own in {table.schema for table in created}:
        found = read_tables(connection, own)
        yield from (found[table.name] for table in created if table.schema == own)


def _is_created(connection: Connection, table: Table) -> bool:
    try:
        connection.execute(CreateTable(table))
        for index in table.indexes:
            connection.execute(CreateIndex(index))
    except exc.DBAPIError as error:
        log.warning(
            "Types, defaults and indexes of %s are not compared: it cannot be created "
            "in a database of its own (%s)", table.name, error.orig,
        )  # fmt: skip
        return False
    return True


# --- called by Alembic --------------------------------------------------------------


@comparators.dispatch_for(
    "autogenerate", qualifier="duckdb", priority=DispatchPriority.FIRST
)
def _begin(context: AutogenContext, _: UpgradeOps) -> PriorityDispatchResult:
    metadata: Any = context.metadata
    models = metadata if isinstance(metadata, list | tuple) else [metadata]
    connection: Any = context.connection
    impl = context.migration_context.impl
    impl.memo[_COMPARISON] = Comparison(connection, models)
    return PriorityDispatchResult.CONTINUE


@comparators.dispatch_for(
    "column", subgroup="server_default", qualifier="duckdb",
    priority=DispatchPriority.FIRST,
)  # fmt: skip
def _compare_default(  # noqa: PLR0917 - as Alembic calls it
    context: AutogenContext, operation: AlterColumnOp, schema: str | None,
    table: str, name: str, found: Column[Any], model: Column[Any],
) -> PriorityDispatchResult:  # fmt: skip
    """
    Defaults, generated columns and counting keys, which are all one to a column.

    Exact, and so always compared, unless `compare_server_default` is a function, which
    Alembic can only call for plain ones.
    """
    user_compares = callable(context.migration_context._user_compare_server_default)
    if user_compares and not isinstance(found.server_default, Computed | Identity):
        return PriorityDispatchResult.CONTINUE
    impl: Any = context.migration_context.impl
    operation.existing_server_default = found.server_default
    pair = comparison_of(impl).columns(model)
    if pair is None:
        return PriorityDispatchResult.STOP
    is_, wanted = pair
    if isinstance(model.default, Sequence):
        # The model counts, whatever the default; scripts leave the sequence out.
        return PriorityDispatchResult.STOP
    if is_.default != wanted.default or _unquoted(is_) != _unquoted(wanted):
        default: Any = model.server_default
        if default is None and wanted.default is not None:
            default = Identity()  # a key that counts by itself
        operation.modify_server_default = default
        log.info("Detected server default on column '%s.%s'", table, name)
    return PriorityDispatchResult.STOP


def _unquoted(column: ColumnPart) -> str | None:
    """
    What computes the column; names get needless quotes when they are renamed.
    """
    return column.generated and column.generated.replace('"', "")


@comparators.dispatch_for(
    "column", subgroup="nullable", qualifier="duckdb", priority=DispatchPriority.FIRST
)
def _compare_nullable(  # noqa: PLR0917 - as Alembic calls it
    context: AutogenContext, operation: AlterColumnOp, schema: str | None,
    table: str, name: str, found: Column[Any], model: Column[Any],
) -> PriorityDispatchResult:  # fmt: skip
    """
    Not that of generated columns, which DuckDB lets be NULL whatever one says.
    """
    if model.computed is None:
        return PriorityDispatchResult.CONTINUE
    operation.existing_nullable = found.nullable
    return PriorityDispatchResult.STOP
