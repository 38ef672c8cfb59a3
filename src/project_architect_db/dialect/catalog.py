"""
Queries of DuckDB's catalog, each for any number of tables.

They see the current database and the temporary objects of the connection, never
another attached database. Names are compared as DuckDB does: ``A`` to ``Z`` without
regard to case, all other letters exactly.
"""

from __future__ import annotations

import string
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine import ObjectKind, ObjectScope

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Row, TextClause
    from sqlalchemy.engine.interfaces import TableKey

_FOLDED = f"translate({{}}, '{string.ascii_uppercase}', '{string.ascii_lowercase}')"
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# A schema inside of a schema has no name that SQLAlchemy could quote.
_IN_SCHEMA = f"""
    CASE WHEN temporary THEN :temporary ELSE :permanent AND schema_oid = (
        SELECT oid FROM duckdb_schemas()
        WHERE database_name = current_database() AND parent_schema IS NULL
        AND {_FOLDED.format("schema_name")}
            = coalesce(:schema, {_FOLDED.format("current_schema()")})
    ) END"""

_RELATIONS = f"""
    WITH relation AS (
        SELECT database_oid, schema_oid, table_oid AS oid, table_name AS name,
            temporary, comment, sql, false AS is_view
        FROM duckdb_tables() WHERE NOT internal
        UNION ALL
        SELECT database_oid, schema_oid, view_oid, view_name,
            temporary, comment, sql, true
        FROM duckdb_views() WHERE NOT internal
    ), wanted AS (
        SELECT * FROM relation
        WHERE {_IN_SCHEMA}
        AND CASE WHEN is_view THEN :views ELSE :tables END
        AND (:names IS NULL OR list_contains(:names, {_FOLDED.format("name")}))
    )"""


def _of_relations(
    function: str, columns: str, order: str, condition: str = "true"
) -> TextClause:
    """
    What the relations have: at least one row for each of them.
    """
    return text(
        f"{_RELATIONS} SELECT wanted.temporary, wanted.name AS relation,"
        f" item.table_oid IS NOT NULL AS has_item, {columns}"
        f" FROM wanted LEFT JOIN {function}() item"
        " ON item.database_oid = wanted.database_oid"
        f" AND item.table_oid = wanted.oid AND {condition}"
        f" ORDER BY wanted.temporary, wanted.name, {order}"
    )


RELATIONS = text(
    f"{_RELATIONS} SELECT temporary, name AS relation, true AS has_item, comment, sql"
    " FROM wanted ORDER BY temporary, name"
)
COLUMNS = _of_relations(
    "duckdb_columns",
    "column_name, data_type, is_nullable, column_default, item.comment,"
    " is_generated, generation_expression",
    "column_index",
)
# Their order means nothing; newest first is how SQLAlchemy's suite compares them.
_CONSTRAINTS = _of_relations(
    "duckdb_constraints",
    "constraint_name, constraint_column_names, expression,"
    " referenced_table, referenced_column_names",
    "constraint_index DESC",
    "constraint_type = :constraint_type",
)
PRIMARY_KEYS = _CONSTRAINTS.bindparams(constraint_type="PRIMARY KEY")
FOREIGN_KEYS = _CONSTRAINTS.bindparams(constraint_type="FOREIGN KEY")
UNIQUE_CONSTRAINTS = _CONSTRAINTS.bindparams(constraint_type="UNIQUE")
CHECK_CONSTRAINTS = _CONSTRAINTS.bindparams(constraint_type="CHECK")
CONSTRAINTS = _of_relations(
    "duckdb_constraints",
    "constraint_name, constraint_type, constraint_column_names, constraint_text",
    "constraint_index",
    "constraint_type <> 'NOT NULL'",
)
INDEXES = _of_relations(
    "duckdb_indexes",
    "index_name, is_unique, item.comment,"
    " CAST(expressions AS VARCHAR[]) AS expressions",
    "index_name",
)
# Triggers name their table, where all others know its oid.
TRIGGERS = text(
    f"{_RELATIONS} SELECT wanted.temporary, wanted.name AS relation,"
    " item.table_name IS NOT NULL AS has_item, item.sql"
    " FROM wanted LEFT JOIN duckdb_triggers() item"
    " ON item.database_oid = wanted.database_oid"
    " AND item.schema_oid = wanted.schema_oid AND item.table_name = wanted.name"
    " ORDER BY wanted.temporary, wanted.name, trigger_name"
)
SEQUENCES = text(
    f"SELECT sequence_name FROM duckdb_sequences() WHERE {_IN_SCHEMA}"
    " ORDER BY sequence_name"
)
SCHEMAS = text(
    "SELECT schema_name FROM duckdb_schemas()"
    " WHERE database_name = current_database() AND parent_schema IS NULL"
    " AND (NOT internal OR schema_name = 'main') ORDER BY schema_name"
)


def folded(name: str) -> str:
    """
    The name as DuckDB compares it.
    """
    return name.translate(_LOWER)


def wanted(
    *,
    schema: str | None,
    scope: ObjectScope,
    kind: ObjectKind = ObjectKind.TABLE,
    filter_names: Collection[str] | None = None,
    **kw: Any,
) -> dict[str, Any]:
    """
    The parameters of a query; temporary objects belong to no named schema.
    """
    return {
        "schema": None if schema is None else folded(schema),
        "temporary": schema is None and ObjectScope.TEMPORARY in scope,
        "permanent": ObjectScope.DEFAULT in scope,
        "tables": ObjectKind.TABLE in kind,
        "views": ObjectKind.VIEW in kind,
        "names": None if filter_names is None else [*map(folded, filter_names)],
    }


def by_relation(
    connection: Connection, query: TextClause, asked: dict[str, Any]
) -> dict[TableKey, list[Row[Any]]]:
    """
    The rows of each table and view, by the name that was asked for.

    A temporary table hides the permanent one of the same name, as in SQL.
    """
    schema, names = asked["schema"], asked.get("filter_names") or ()
    spelling = {folded(name): name for name in names}
    rows = connection.execute(query, wanted(**asked))
    return {
        (schema, spelling.get(folded(relation), relation)): [
            row for row in group if row.has_item
        ]
        for (_, relation), group in groupby(rows, key=itemgetter(0, 1))
    }
