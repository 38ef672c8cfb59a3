"""
What is in the database, as SQLAlchemy's `Inspector` asks for it.

The forms for many tables are here; SQLAlchemy makes those for one table from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exc
from sqlalchemy.engine import ObjectKind, ObjectScope, reflection
from sqlalchemy.engine.default import _BackendsMultiReflection

from project_architect_db.dialect import catalog, reflected
from project_architect_db.dialect.catalog import by_relation, folded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import (
        ReflectedCheckConstraint,
        ReflectedColumn,
        ReflectedForeignKeyConstraint,
        ReflectedIndex,
        ReflectedPrimaryKeyConstraint,
        ReflectedTableComment,
        ReflectedUniqueConstraint,
        TableKey,
    )


class DuckDBReflection(_BackendsMultiReflection):
    """
    The part of the dialect that reads the catalog.
    """

    # --- which objects there are --------------------------------------------------

    def has_multi_table(
        self,
        connection: Connection,
        table_names: Collection[str],
        schema: str | None = None,
        **kw: Any,
    ) -> Iterable[tuple[TableKey, bool]]:
        """
        Which of the names are tables or views.
        """
        asked = _any(table_names, schema)
        found = by_relation(connection, catalog.RELATIONS, asked)
        existing = {folded(name) for _, name in found}
        return [((schema, name), folded(name) in existing) for name in table_names]

    @reflection.cache
    def has_index(
        self,
        connection: Connection,
        table_name: str,
        index_name: str,
        schema: str | None = None,
        **kw: Any,
    ) -> bool:
        """
        Whether the table is there and has that index.
        """
        asked = _any([table_name], schema)
        return folded(index_name) in [
            folded(index["name"] or "")
            for _, indexes in self.get_multi_indexes(connection, **asked)
            for index in indexes
        ]

    @reflection.cache
    def has_schema(self, connection: Connection, schema_name: str, **kw: Any) -> bool:
        """
        Whether the current database has that schema.
        """
        names = self.get_schema_names(connection, **kw)
        return folded(schema_name) in map(folded, names)

    @reflection.cache
    def has_sequence(
        self,
        connection: Connection,
        sequence_name: str,
        schema: str | None = None,
        **kw: Any,
    ) -> bool:
        """
        Whether there is such a sequence, be it temporary.
        """
        asked = catalog.wanted(schema=schema, scope=ObjectScope.ANY)
        names = connection.scalars(catalog.SEQUENCES, asked)
        return folded(sequence_name) in map(folded, names)

    @reflection.cache
    def get_schema_names(self, connection: Connection, **kw: Any) -> list[str]:
        """
        The schemas of the current database.
        """
        return list(connection.scalars(catalog.SCHEMAS))

    @reflection.cache
    def get_table_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """
        The tables, without temporary ones.
        """
        return _names(connection, schema, ObjectScope.DEFAULT, ObjectKind.TABLE)

    @reflection.cache
    def get_temp_table_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """
        The temporary tables of this connection.
        """
        return _names(connection, schema, ObjectScope.TEMPORARY, ObjectKind.TABLE)

    @reflection.cache
    def get_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """
        The views, without temporary ones.
        """
        return _names(connection, schema, ObjectScope.DEFAULT, ObjectKind.VIEW)

    @reflection.cache
    def get_temp_view_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """
        The temporary views of this connection.
        """
        return _names(connection, schema, ObjectScope.TEMPORARY, ObjectKind.VIEW)

    @reflection.cache
    def get_sequence_names(
        self, connection: Connection, schema: str | None = None, **kw: Any
    ) -> list[str]:
        """
        The sequences, without temporary ones.
        """
        asked = catalog.wanted(schema=schema, scope=ObjectScope.DEFAULT)
        return list(connection.scalars(catalog.SEQUENCES, asked))

    @reflection.cache
    def get_view_definition(
        self,
        connection: Connection,
        view_name: str,
        schema: str | None = None,
        **kw: Any,
    ) -> str:
        """
        The CREATE VIEW statement, in DuckDB's normal form.
        """
        asked = _any([view_name], schema) | {"kind": ObjectKind.VIEW}
        found = by_relation(connection, catalog.RELATIONS, asked)
        for (row,) in found.values():
            definition: str = row.sql
            return definition
        raise exc.NoSuchTableError(f"{schema}.{view_name}" if schema else view_name)

    # --- what tables and views consist of -----------------------------------------

    def get_multi_columns(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, list[ReflectedColumn]]]:
        """
        The columns, in their order.
        """
        found = by_relation(connection, catalog.COLUMNS, asked)
        return [(key, [*map(reflected.column, rows)]) for key, rows in found.items()]

    def get_multi_table_options(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, dict[str, Any]]]:
        """
        None: a table of DuckDB has no options.
        """
        found = by_relation(connection, catalog.RELATIONS, asked)
        return [(key, {}) for key in found]

    def get_multi_pk_constraint(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, ReflectedPrimaryKeyConstraint]]:
        """
        The primary keys, by the names DuckDB gives them.
        """
        found = by_relation(connection, catalog.PRIMARY_KEYS, asked)
        return [(key, reflected.primary_key(rows)) for key, rows in found.items()]

    def get_multi_foreign_keys(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, list[ReflectedForeignKeyConstraint]]]:
        """
        The foreign keys, where `emit_foreign_keys` created any.
        """
        found = by_relation(connection, catalog.FOREIGN_KEYS, asked)
        return [
            (key, [reflected.foreign_key(row, asked["schema"]) for row in rows])
            for key, rows in found.items()
        ]

    def get_multi_unique_constraints(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, list[ReflectedUniqueConstraint]]]:
        """
        The unique constraints, without unique indexes.
        """
        found = by_relation(connection, catalog.UNIQUE_CONSTRAINTS, asked)
        return [
            (key, [*map(reflected.unique_constraint, rows)])
            for key, rows in found.items()
        ]

    def get_multi_check_constraints(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, list[ReflectedCheckConstraint]]]:
        """
        The check constraints; NOT NULL belongs to the columns.
        """
        found = by_relation(connection, catalog.CHECK_CONSTRAINTS, asked)
        return [
            (key, [*map(reflected.check_constraint, rows)])
            for key, rows in found.items()
        ]

    def get_multi_indexes(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, list[ReflectedIndex]]]:
        """
        The indexes, without those of keys and unique constraints.
        """
        found = by_relation(connection, catalog.INDEXES, asked)
        return [(key, [*map(reflected.index, rows)]) for key, rows in found.items()]

    def get_multi_table_comment(
        self, connection: Connection, **asked: Any
    ) -> Iterable[tuple[TableKey, ReflectedTableComment]]:
        """
        The comments on tables and views.
        """
        found = by_relation(connection, catalog.RELATIONS, asked)
        return [(key, {"text": rows[0].comment}) for key, rows in found.items()]


def _any(names: Collection[str], schema: str | None) -> dict[str, Any]:
    return {
        "schema": schema,
        "scope": ObjectScope.ANY,
        "kind": ObjectKind.ANY,
        "filter_names": names,
    }


def _names(
    connection: Connection, schema: str | None, scope: ObjectScope, kind: ObjectKind
) -> list[str]:
    asked = {"schema": schema, "scope": scope, "kind": kind}
    return [name for _, name in by_relation(connection, catalog.RELATIONS, asked)]
