"""
Which views are made of a table: DuckDB lets a table go, or a column, without a word.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import exc
from sqlalchemy.engine import ObjectKind, ObjectScope

from project_architect_db.dialect import catalog
from project_architect_db.dialect.catalog import by_relation, folded
from project_architect_db.errors import StatementError, UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from project_architect_db.dialect.alembic_tables import TableParts

_NAME = r'(?:"(?:[^"]|"")*"|[^\s".(]+)'
_HEAD = re.compile(rf"CREATE VIEW (?:{_NAME}\.)*{_NAME} (?:\(.*?\) )?AS ")


def views_over(connection: Connection, table: TableParts) -> list[str]:
    """
    The views that read the table, or other views that do; in an order to ask them.
    """
    sources = dict(_sources(connection, table.schema))
    found = [table.name]
    for name in found:  # grows meanwhile
        found += [
            view
            for view, read in sources.items()
            if folded(name) in read and view not in found
        ]
    return found[1:]


def _sources(
    connection: Connection, schema: str | None
) -> Iterator[tuple[str, set[str]]]:  # fmt: skip
    asked = {"schema": schema, "scope": ObjectScope.ANY, "kind": ObjectKind.VIEW}
    for (_, view), rows in by_relation(connection, catalog.RELATIONS, asked).items():
        query = _HEAD.sub("", rows[0].sql, count=1)
        tree = connection.exec_driver_sql(
            "SELECT json_serialize_sql($1)", (query,)
        ).scalar_one()
        yield view, {folded(name) for name in _table_names(json.loads(tree))}


def _table_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _table_names(part)


def refuse_views(views: list[str], table: TableParts) -> None:
    """
    Refuse to take away a table that views are made of.

    Raises:
        UnsupportedOperationError: There are such views.
    """
    if views:
        raise UnsupportedOperationError(
            f"the view {', '.join(views)} reads {table.name}, and would no longer "
            "work; drop it before (op.execute('DROP VIEW …')), and create it anew "
            "afterwards"
        )


def check_views(connection: Connection, views: list[str], table: TableParts) -> None:
    """
    See whether the views still work.

    Raises:
        UnsupportedOperationError: One does not.
    """
    quote = connection.dialect.identifier_preparer.quote
    schema = "" if table.schema is None else quote(table.schema) + "."
    for view in views:
        try:
            connection.exec_driver_sql(f"SELECT * FROM {schema}{quote(view)} LIMIT 0")
        except (StatementError, exc.DBAPIError) as error:
            raise UnsupportedOperationError(
                f"the view {view} reads {table.name}, and would no longer work "
                f"({error.__cause__ or error}); drop it before (op.execute("
                "'DROP VIEW …')), and create it anew afterwards"
            ) from error
