"""
The SQL that makes, fills and names tables, from their parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.sql.compiler import IdentifierPreparer

    from project_architect_db.dialect.alembic_tables import (
        ColumnPart,
        IndexPart,
        TableParts,
    )


class Step(NamedTuple):
    """
    A statement that changes a table.

    Attributes:
        sql: The statement.
        alone: Nothing may depend on the table: no index, trigger, or FOREIGN KEY.
        settled: No update of its rows may be undecided.
    """

    sql: str
    alone: bool = False
    settled: bool = False


class TableWriter:
    """
    The SQL of tables and their parts.
    """

    def __init__(self, preparer: IdentifierPreparer) -> None:
        self.quote = preparer.quote

    def name(self, table: TableParts) -> str:
        """
        The table's name, with its schema.
        """
        return self.in_schema(table, table.name)

    def in_schema(self, table: TableParts, name: str) -> str:
        """
        A name in the schema of a table.
        """
        quoted = self.quote(name)
        return (
            quoted if table.schema is None else f"{self.quote(table.schema)}.{quoted}"
        )

    def create_table(self, table: TableParts) -> str:
        """
        CREATE TABLE, with its constraints.
        """
        parts = [*map(self.column, table.columns), *(c.sql for c in table.constraints)]
        return f"CREATE TABLE {self.name(table)} ({', '.join(parts)})"

    def column(self, column: ColumnPart) -> str:
        """
        A column, as CREATE TABLE and ADD COLUMN have it.
        """
        text = f"{self.quote(column.name)} {column.type}"
        if column.generated is not None:
            return f"{text} GENERATED ALWAYS AS ({column.generated}) VIRTUAL"
        if column.default is not None:
            text += f" DEFAULT ({column.default})"
        return text if column.nullable else f"{text} NOT NULL"

    def copy(self, old: TableParts, new: TableParts, using: Mapping[str, str]) -> str:
        """
        INSERT of all rows, each column from the one of the same name.
        """
        before = {column.name: column for column in old.columns}
        values = {
            self.quote(column.name): self._value(before[column.name], column, using)
            for column in new.columns
            if column.generated is None and column.name in before
        }
        return (
            f"INSERT INTO {self.name(new)} ({', '.join(values)})"
            f" SELECT {', '.join(values.values())} FROM {self.name(old)}"
        )

    def _value(
        self, was: ColumnPart, column: ColumnPart, using: Mapping[str, str]
    ) -> str:
        if column.name in using:
            return using[column.name]
        quoted = self.quote(column.name)
        if was.type == column.type:
            return quoted
        return f"CAST({quoted} AS {column.type.partition(' COLLATE ')[0]})"

    def rename_table(self, table: TableParts, name: str) -> str:
        """
        ALTER TABLE … RENAME TO.
        """
        return f"ALTER TABLE {self.name(table)} RENAME TO {self.quote(name)}"

    def create_index(self, table: TableParts, index: IndexPart) -> list[Step]:
        """
        CREATE INDEX, and its comment.
        """
        unique = "UNIQUE INDEX" if index.unique else "INDEX"
        steps = [
            Step(
                f"CREATE {unique} {self.quote(index.name)} ON {self.name(table)}"
                f" ({', '.join(index.expressions)})",
                settled=True,
            )
        ]
        if index.comment is not None:
            name = self.in_schema(table, index.name)
            steps.append(Step(comment_on("INDEX", name, index.comment)))
        return steps

    def comments(self, table: TableParts) -> Iterator[str]:
        """
        The comments on a table and its columns.
        """
        name = self.name(table)
        if table.comment is not None:
            yield comment_on("TABLE", name, table.comment)
        for column in table.columns:
            if column.comment is not None:
                column_name = f"{name}.{self.quote(column.name)}"
                yield comment_on("COLUMN", column_name, column.comment)


def comment_on(kind: str, name: str, comment: str | None) -> str:
    """
    COMMENT ON something.
    """
    text = "NULL" if comment is None else "'" + comment.replace("'", "''") + "'"
    return f"COMMENT ON {kind} {name} IS {text}"
