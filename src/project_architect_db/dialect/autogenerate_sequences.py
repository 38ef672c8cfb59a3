"""
Sequences in `alembic revision --autogenerate`, which Alembic itself leaves out.

Those of the models are to be there. One that is there and not in the models is to go,
unless the default of some column counts with it: keys have sequences that no model
names. What a sequence counts by is not compared; DuckDB could not change it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import comparators, renderers
from alembic.operations import Operations
from alembic.operations.ops import (
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
)
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Sequence
from sqlalchemy.schema import CreateSequence, DropSequence

from project_architect_db.dialect.alembic_sequences import next_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps

    SequenceName = tuple[str | None, str]

_OPTIONS = ("start", "increment", "minvalue", "maxvalue", "cycle")


class SequenceOp(MigrateOperation):
    """
    CREATE SEQUENCE, or DROP SEQUENCE.
    """

    def __init__(self, sequence: Sequence, *, create: bool) -> None:
        self.sequence = sequence
        self.create = create

    def reverse(self) -> SequenceOp:
        """
        The opposite.
        """
        return SequenceOp(self.sequence, create=not self.create)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """
        How `compare_metadata` tells it.
        """
        return ("add_sequence" if self.create else "remove_sequence", self.sequence)


@Operations.implementation_for(SequenceOp)
def _execute(operations: Operations, operation: SequenceOp) -> None:
    kind = CreateSequence if operation.create else DropSequence
    operations.execute(kind(operation.sequence))


@renderers.dispatch_for(SequenceOp)
def _render(context: AutogenContext, operation: SequenceOp) -> str:
    sequence = operation.sequence
    arguments = [repr(str(sequence.name))]
    if sequence.schema is not None:
        arguments.append(f"schema={str(sequence.schema)!r}")
    for option in _OPTIONS:
        value = getattr(sequence, option)
        if value is not None:
            arguments.append(f"{option}={value!r}")
    sa, op = (
        context.opts[f"{module}_module_prefix"] for module in ("sqlalchemy", "alembic")
    )
    kind = "CreateSequence" if operation.create else "DropSequence"
    return f"{op}execute({sa}schema.{kind}({sa}Sequence({', '.join(arguments)})))"


def _wanted(context: AutogenContext) -> dict[SequenceName, Sequence]:
    metadata: Any = context.metadata
    models = metadata if isinstance(metadata, list | tuple) else [metadata]
    return {
        _key(context, sequence.schema, sequence.name): sequence
        for model in models
        for sequence in model._sequences.values()
        if not sequence.optional
    }


def _key(context: AutogenContext, schema: str | None, name: str) -> SequenceName:
    default = context.dialect.default_schema_name
    return (None if schema == default else schema), name


_FOUND = """
    SELECT sequence_name, schema_name, start_value, increment_by
    FROM duckdb_sequences()
    WHERE database_name = current_database() AND NOT temporary
    ORDER BY schema_name, sequence_name
"""


def _found(context: AutogenContext) -> dict[SequenceName, Sequence]:
    connection: Any = context.connection
    found = {}
    for name, schema, start, increment in connection.exec_driver_sql(_FOUND):
        key = _key(context, schema, name)
        found[key] = Sequence(
            name, start=start, increment=increment, schema=key[0]
        )  # fmt: skip
    return found


_USED = """
    SELECT column_default, schema_name, table_name, column_name FROM duckdb_columns()
    WHERE column_default LIKE 'nextval(%'
"""


def _used(context: AutogenContext, upgrade: UpgradeOps) -> set[str]:
    """
    The defaults that count with a sequence, without those that are about to go.

    A table takes the sequences with it that are its own.
    """
    gone = set(_dropped(upgrade))
    connection: Any = context.connection
    return {
        default
        for default, schema, table, column in connection.exec_driver_sql(_USED)
        for key in [_key(context, schema, table)]
        if not {(*key, None), (*key, column)} & gone
        or default == _own(context, key, column)
    }


def _own(context: AutogenContext, table: SequenceName, column: str) -> str:
    schema, name = table
    return next_value(context.dialect, Sequence(f"{name}_{column}_seq", schema=schema))


def _dropped(operations: Any) -> Iterator[tuple[str | None, str, str | None]]:
    for operation in operations.ops:
        match operation:
            case ModifyTableOps():
                yield from _dropped(operation)
            case DropTableOp():
                yield operation.schema, operation.table_name, None
            case DropColumnOp():
                yield operation.schema, operation.table_name, operation.column_name


def _is_compared(
    context: AutogenContext, schemas: set[str | None], key: SequenceName
) -> bool:
    schema, name = key
    parents: Any = {"schema_name": schema}
    kind: Any = "sequence"  # one more than Alembic knows of
    return schema in schemas and context.run_name_filters(name, kind, parents)


@comparators.dispatch_for("schema", qualifier="duckdb", priority=DispatchPriority.FIRST)
def _add(
    context: AutogenContext, upgrade: UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """
    Before the tables, whose defaults may count with them.
    """
    found = _found(context)
    for key, sequence in _wanted(context).items():
        if key not in found and _is_compared(context, schemas, key):
            upgrade.ops.append(SequenceOp(sequence, create=True))
    return PriorityDispatchResult.CONTINUE


@comparators.dispatch_for("schema", qualifier="duckdb", priority=DispatchPriority.LAST)
def _remove(
    context: AutogenContext, upgrade: UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """
    Behind the tables.
    """
    wanted, used = _wanted(context), _used(context, upgrade)
    for key, sequence in _found(context).items():
        default = next_value(context.dialect, sequence)
        if key in wanted or default in used:
            continue
        if _is_compared(context, schemas, key):
            upgrade.ops.append(SequenceOp(sequence, create=False))
    return PriorityDispatchResult.CONTINUE
