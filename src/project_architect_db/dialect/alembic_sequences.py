"""
The sequences that keys count with, which no model names.

They are called after table and column, and so they follow both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Sequence
from sqlalchemy.schema import CreateSequence
from sqlalchemy.sql.schema import IdentityOptions

from project_architect_db.dialect.alembic_writer import Step
from project_architect_db.dialect.ddl_compiler import (
    implicit_sequence,
    implicit_sequence_column,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column, Connection, Identity
    from sqlalchemy.engine import Dialect

    from project_architect_db.dialect.alembic_tables import TableParts
    from project_architect_db.dialect.alembic_writer import TableWriter


def key_sequence(table: TableParts, column: str, **options: Any) -> Sequence:
    """
    The sequence that a column of the table would count with.
    """
    return Sequence(f"{table.name}_{column}_seq", schema=table.schema, **options)


def next_value(dialect: Dialect, sequence: Sequence) -> str:
    """
    The default of a column that counts with the sequence, as the catalog has it.
    """
    return str(sequence.next_value().compile(dialect=dialect))


def counting_columns(dialect: Dialect, table: TableParts) -> dict[str, Sequence]:
    """
    The columns that count with a sequence of their own, and the sequences.
    """
    found = {c.name: key_sequence(table, c.name) for c in table.columns}
    defaults = {column.name: column.default for column in table.columns}
    return {
        name: sequence
        for name, sequence in found.items()
        if next_value(dialect, sequence) == defaults[name]
    }


def create_implicit(column: Column[Any]) -> CreateSequence | None:
    """
    What a new column needs that counts by itself.
    """
    sequence = implicit_sequence(column.table)
    if sequence is None or implicit_sequence_column(column.table) is not column:
        return None
    return CreateSequence(sequence)


def create_identity(
    connection: Connection, table: TableParts, column: str, identity: Identity
) -> CreateSequence:
    """
    What a column needs that is to count from now on: behind what it holds.
    """
    options: dict[str, Any] = IdentityOptions._as_dict(identity)
    if identity.start is None:
        preparer = connection.dialect.identifier_preparer
        name = preparer.quote(table.name)
        if table.schema is not None:
            name = f"{preparer.quote(table.schema)}.{name}"
        options["start"] = connection.exec_driver_sql(
            f"SELECT coalesce(max({preparer.quote(column)}), 0) + 1 FROM {name}"
        ).scalar_one()
    return CreateSequence(key_sequence(table, column, **options))


def drop_unused(
    connection: Connection, old: TableParts, new: TableParts | None
) -> Iterator[str]:
    """
    The statements that drop what only columns counted with that are gone.
    """
    dialect = connection.dialect
    stay = {} if new is None else counting_columns(dialect, new)
    for name, sequence in counting_columns(dialect, old).items():
        if name in stay:
            continue
        others = connection.exec_driver_sql(
            "SELECT count(*) FROM duckdb_columns() WHERE column_default = $1",
            (next_value(dialect, sequence),),
        ).scalar_one()
        if not others:
            quoted = dialect.identifier_preparer.format_sequence(sequence)
            yield f"DROP SEQUENCE {quoted}"


def rename(
    connection: Connection, write: TableWriter, old: TableParts, after: TableParts
) -> Iterator[Step]:
    """
    The statements that give the sequences of a renamed table or column new names.

    DuckDB cannot rename one; the new one goes on where the old one stands.
    """
    dialect = connection.dialect
    counting = counting_columns(dialect, old)
    for was, column in zip(old.columns, after.columns, strict=True):
        sequence, new = counting.get(was.name), key_sequence(after, column.name)
        if sequence is None or sequence.name == new.name:
            continue
        options = connection.exec_driver_sql(
            "SELECT regexp_extract(sql, '.*( INCREMENT BY .*);', 1)"
            " FROM duckdb_sequences() WHERE database_name = current_database()"
            " AND sequence_name = $1 AND schema_name = coalesce($2, current_schema())",
            (sequence.name, old.schema),
        ).scalar_one()
        quote = dialect.identifier_preparer.format_sequence
        yield Step(f"CREATE SEQUENCE {quote(new)}{options}")
        yield Step(
            f"ALTER TABLE {write.name(after)} ALTER COLUMN {write.quote(column.name)}"
            f" SET DEFAULT ({next_value(dialect, new)})"
        )
        yield Step(f"DROP SEQUENCE {quote(sequence)}")
