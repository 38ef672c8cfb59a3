"""
A table as a migration finds it, and as it wants it: each part in DuckDB's SQL.

Parts that nobody changes are the catalog's own words, so that a table which is built
anew is the one it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.engine import ObjectKind, ObjectScope

from project_architect_db.dialect import catalog
from project_architect_db.dialect.catalog import by_relation, folded
from project_architect_db.dialect.reflected import without_cast
from project_architect_db.errors import InvalidStatementError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Row
    from sqlalchemy.engine import Dialect


class ColumnPart(NamedTuple):
    """
    A column.

    Attributes:
        name: Its name, not quoted.
        type: With the collation, if it has one.
        nullable: Whether it may be NULL.
        default: An expression.
        generated: The expression that computes it.
        comment: What its comment says.
    """

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    generated: str | None = None
    comment: str | None = None


class ConstraintPart(NamedTuple):
    """
    A key, or a UNIQUE, CHECK or FOREIGN KEY constraint.

    Attributes:
        kind: ``PRIMARY KEY``, for example.
        columns: The columns it is about.
        sql: How CREATE TABLE says it.
        name: What DuckDB calls it.
    """

    kind: str
    columns: tuple[str, ...]
    sql: str
    name: str | None = None


class IndexPart(NamedTuple):
    """
    An index.

    Attributes:
        name: Its name, not quoted.
        unique: Whether it is UNIQUE.
        expressions: Quoted names, and expressions in parentheses.
        comment: What its comment says.
    """

    name: str
    unique: bool
    expressions: tuple[str, ...]
    comment: str | None = None


class TableParts(NamedTuple):
    """
    A table.

    Attributes:
        schema: As the migration writes it.
        name: Its name, not quoted.
        columns: Its columns, in their order.
        constraints: Its constraints, but NOT NULL.
        indexes: Its indexes, but those of keys and UNIQUE constraints.
        triggers: The statements that create its triggers.
        comment: What its comment says.
        referred_by: The tables with a FOREIGN KEY to it.
    """

    schema: str | None
    name: str
    columns: tuple[ColumnPart, ...]
    constraints: tuple[ConstraintPart, ...] = ()
    indexes: tuple[IndexPart, ...] = ()
    triggers: tuple[str, ...] = ()
    comment: str | None = None
    referred_by: tuple[str, ...] = ()

    def has_column(self, name: str) -> bool:
        """
        Whether it has a column of that name.
        """
        return any(folded(column.name) == folded(name) for column in self.columns)

    def column(self, name: str) -> ColumnPart:
        """
        The column of that name.

        Raises:
            InvalidStatementError: There is none.
        """
        for column in self.columns:
            if folded(column.name) == folded(name):
                return column
        known = ", ".join(column.name for column in self.columns)
        raise InvalidStatementError(
            f"{self.name} has no column {name!r}; there are {known}"
        )

    def with_column(self, name: str, /, **changes: Any) -> TableParts:
        """
        The same table with something else about one column.
        """
        changed = self.column(name)._replace(**changes)
        return self._replace(
            columns=tuple(
                changed if folded(column.name) == folded(name) else column
                for column in self.columns
            )
        )

    def without_column(self, name: str, dialect: Dialect) -> TableParts:
        """
        The same table without a column, and without what is about it.
        """
        gone = self.column(name)
        quoted = dialect.identifier_preparer.quote(gone.name)
        return self._replace(
            columns=tuple(column for column in self.columns if column != gone),
            constraints=tuple(
                c for c in self.constraints if gone.name not in c.columns
            ),
            indexes=tuple(i for i in self.indexes if quoted not in i.expressions),
        )


def read_table(connection: Connection, name: str, schema: str | None) -> TableParts:
    """
    The table as it is now.

    Raises:
        InvalidStatementError: There is none of that name.
    """
    found = read_tables(connection, schema, [name])
    if not found:
        raise InvalidStatementError(f"there is no table {name!r} to change")
    return found[name]


def read_tables(
    connection: Connection, schema: str | None, names: Collection[str] | None = None
) -> dict[str, TableParts]:
    """
    Tables of a schema by their names; without names, all of them.
    """
    asked = {
        "schema": schema,
        "scope": ObjectScope.ANY,
        "kind": ObjectKind.TABLE,
        "filter_names": names,
    }

    def rows(query: Any) -> dict[str, list[Row[Any]]]:
        found = by_relation(connection, query, asked)
        return {name: rows for (_, name), rows in found.items()}

    columns, constraints = rows(catalog.COLUMNS), rows(catalog.CONSTRAINTS)
    indexes, triggers = rows(catalog.INDEXES), rows(catalog.TRIGGERS)
    parents = _parents(connection, schema)
    return {
        name: TableParts(
            schema,
            name,
            tuple(_column(row, _collations(table.sql)) for row in columns[name]),
            tuple(map(_constraint, constraints[name])),
            tuple(map(_index, indexes[name])),
            tuple(row.sql for row in triggers[name]),
            table.comment,
            tuple(child for parent, child in parents if parent == folded(name)),
        )
        for name, (table,) in rows(catalog.RELATIONS).items()
    }


_COLLATED = re.compile(r'[(,] ?("(?:[^"]|"")*"|[^\s",()]+) VARCHAR COLLATE ([\w.]+)')


def _collations(create_table: str) -> dict[str, str]:
    """
    The collations by quoted column; of all the catalog, only this statement knows.
    """
    return dict(_COLLATED.findall(create_table))


def _column(row: Row[Any], collations: dict[str, str]) -> ColumnPart:
    quoted = '"' + row.column_name.replace('"', '""') + '"'
    collation = collations.get(row.column_name) or collations.get(quoted)
    return ColumnPart(
        row.column_name,
        row.data_type + (f" COLLATE {collation}" if collation else ""),
        row.is_nullable,
        None if row.is_generated else row.column_default,
        without_cast(row.generation_expression) if row.is_generated else None,
        row.comment,
    )


def _constraint(row: Row[Any]) -> ConstraintPart:
    return ConstraintPart(
        row.constraint_type,
        tuple(row.constraint_column_names),
        row.constraint_text,
        row.constraint_name,
    )


def _index(row: Row[Any]) -> IndexPart:
    return IndexPart(
        row.index_name, row.is_unique, tuple(row.expressions), row.comment
    )  # fmt: skip


def _parents(connection: Connection, schema: str | None) -> list[tuple[str, str]]:
    """
    Each table that a FOREIGN KEY refers to, and the table that has it.
    """
    asked = {"schema": schema, "scope": ObjectScope.ANY, "kind": ObjectKind.TABLE}
    return [
        (folded(key.referenced_table), child)
        for (_, child), keys in by_relation(
            connection, catalog.FOREIGN_KEYS, asked
        ).items()
        for key in keys
    ]
