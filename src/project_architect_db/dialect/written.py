"""
Which columns a statement writes, and which values it is known to write into them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Column

    from project_architect_db.dialect.execution import DuckDBExecutionContext

_DELETES = re.compile(r"\b(delete|truncate|merge)\b", re.IGNORECASE)
_CHANGES = re.compile(r"\b(update|insert|merge)\b", re.IGNORECASE)


def values_of(
    context: DuckDBExecutionContext, columns: Sequence[Column[Any]]
) -> set[tuple[Any, ...]] | None:
    """
    What a statement wrote into these columns; `None` where only the table knows.

    A key with a NULL in it refers to nothing.
    """
    names = [column.key for column in columns]
    rows: list[dict[str, Any]] = context.compiled_parameters
    statement: Any = context.invoked_statement
    if context.isinsert and (statement.select is not None or statement._multi_values):
        return None
    if all(name in rows[0] for name in names) and not _sets_otherwise(
        statement, columns
    ):
        values = {tuple(row[name] for name in names) for row in rows}
        return {value for value in values if None not in value}
    touched = any(_is_given(context, column) for column in columns)
    by_default = context.isinsert and any(c.server_default for c in columns)
    return None if touched or by_default else set()


def changes(context: DuckDBExecutionContext, columns: Iterable[Column[Any]]) -> bool:
    """
    Whether a statement may change one of the columns in a row that is there.
    """
    if context.isupdate:
        return any(_is_given(context, column) for column in columns)
    statement: Any = context.invoked_statement
    if statement._prefixes:  # OR REPLACE
        return True
    return not {column.key for column in columns}.isdisjoint(_set_by_upsert(statement))


def _is_given(context: DuckDBExecutionContext, column: Column[Any]) -> bool:
    """
    Whether the statement gives the column a value, of whatever kind.
    """
    statement: Any = context.invoked_statement
    return column.key in context.compiled_parameters[0] or any(
        getattr(name, "key", name) == column.key for name in statement._values or {}
    )


def _sets_otherwise(statement: Any, columns: Sequence[Column[Any]]) -> bool:
    """
    Whether an upsert sets the columns to something else than its rows say.
    """
    assigned = _set_by_upsert(statement)
    return any(
        column.key in assigned
        and getattr(getattr(assigned[column.key], "table", None), "name", "")
        != "excluded"
        for column in columns
    )


def _set_by_upsert(statement: Any) -> dict[str, Any]:
    clause = getattr(statement, "_post_values_clause", None)
    assigned: Any = getattr(clause, "update_values_to_set", None) or ()
    pairs: Iterable[tuple[Any, Any]] = dict(assigned).items()
    return {getattr(name, "key", name): value for name, value in pairs}


def may_delete(texts: Collection[str], columns: Sequence[Column[Any]]) -> bool:
    """
    Whether what these columns held has gone because SQL that is text deleted it.

    It may have been given another value as well; children must not follow then. So
    there has to be a text that deletes, and none that seems to set one of the columns.
    """
    return any(map(_DELETES.search, texts)) and not any(
        _seems_to_set(text, column) for text in texts for column in columns
    )


def may_change(texts: Collection[str]) -> bool:
    """
    Whether some SQL that is text may have changed a row.
    """
    return any(map(_CHANGES.search, texts))


def _seems_to_set(text: str, column: Column[Any]) -> bool:
    """
    Whether the column's name and a ``=`` are between a SET and the last WHERE.
    """
    table, name = re.escape(column.table.name), re.escape(column.name)
    assigns = re.compile(rf'(?<!\w){name}"?\s*(,[^=()]*)?\)?\s*=', re.IGNORECASE)
    for statement in re.sub(r"'(?:[^']|'')*'", "''", text).split(";"):
        if re.search(rf"(?<!\w){table}(?!\w)", statement, re.IGNORECASE):
            _, *set_ = re.split(r"\bset\b", statement, maxsplit=1, flags=re.IGNORECASE)
            parts = re.split(r"\bwhere\b", "".join(set_), flags=re.IGNORECASE)
            if assigns.search(" ".join(parts[:-1] or parts)):
                return True
    return False
