"""
Rows of the catalog in the words of SQLAlchemy's `Inspector`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine.reflection import ReflectionDefaults

from project_architect_db.dialect.type_parser import type_from_text, unquoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row
    from sqlalchemy.engine.interfaces import (
        ReflectedCheckConstraint,
        ReflectedColumn,
        ReflectedForeignKeyConstraint,
        ReflectedIndex,
        ReflectedPrimaryKeyConstraint,
        ReflectedUniqueConstraint,
    )

_NEXT_VALUE = re.compile(r"nextval\('.*'\)")
_CAST = re.compile(r"""CAST\((.*) AS (?:'[^']*'|"[^"]*"|[^'"])*\)""", re.DOTALL)
_LIKE_A_PARAMETER = re.compile(r"(?<![:\w]):\w|\\:")


def column(row: Row[Any]) -> ReflectedColumn:
    """
    A column; its default is SQL, so the default of a string has quotes.
    """
    default = None if row.is_generated else row.column_default
    counts = default is not None and _NEXT_VALUE.fullmatch(default) is not None
    found: ReflectedColumn = {
        "name": row.column_name,
        "type": type_from_text(row.data_type, row.column_name),
        "nullable": row.is_nullable,
        "default": default if default is None else _sql(default),
        "autoincrement": counts,
        "comment": row.comment,
    }
    if row.is_generated:
        expression = without_cast(row.generation_expression)
        found["computed"] = {"sqltext": _sql(without_parentheses(expression))}
    return found


def primary_key(rows: Sequence[Row[Any]]) -> ReflectedPrimaryKeyConstraint:
    """
    A primary key, or the absence of one.
    """
    found = ReflectionDefaults.pk_constraint()
    for row in rows:
        found["name"] = row.constraint_name
        found["constrained_columns"] = row.constraint_column_names
    return found


def foreign_key(row: Row[Any], schema: str | None) -> ReflectedForeignKeyConstraint:
    """
    A foreign key, which in DuckDB never leaves its schema.
    """
    return {
        "name": row.constraint_name,
        "constrained_columns": row.constraint_column_names,
        "referred_schema": schema,
        "referred_table": row.referenced_table,
        "referred_columns": row.referenced_column_names,
        "options": {},
    }


def unique_constraint(row: Row[Any]) -> ReflectedUniqueConstraint:
    """
    A unique constraint; a unique index is an index.
    """
    return {"name": row.constraint_name, "column_names": row.constraint_column_names}


def check_constraint(row: Row[Any]) -> ReflectedCheckConstraint:
    """
    A check constraint.
    """
    return {
        "name": row.constraint_name,
        "sqltext": _sql(without_parentheses(row.expression)),
    }


def index(row: Row[Any]) -> ReflectedIndex:
    """
    An index; DuckDB writes ``name``, ``"na me"`` or ``(expression)``.
    """
    names = [None if e.startswith("(") else unquoted(e) for e in row.expressions]
    found: ReflectedIndex = {
        "name": row.index_name,
        "column_names": names,
        "unique": row.is_unique,
        "dialect_options": {},
    }
    if None in names:
        found["expressions"] = [
            name or escaped(expression[1:-1])
            for name, expression in zip(names, row.expressions, strict=True)
        ]
    return found


def escaped(expression: str) -> str:
    """
    SQL as `text()` wants it.

    There, ``'{"a":1}'`` would have a parameter, and come out as ``'{"a"NULL}'``.
    """
    if not _LIKE_A_PARAMETER.search(expression):
        return expression
    return expression.replace(":", r"\:")


def _sql(expression: str) -> Any:
    """
    SQL that SQLAlchemy passes through `text()`, unless it is one already.
    """
    safe = escaped(expression)
    return expression if safe == expression else text(safe)


def without_cast(expression: str) -> str:
    """
    The expression without the cast to the type of its column that DuckDB adds.
    """
    cast = _CAST.fullmatch(expression)
    return cast[1] if cast else expression


def without_parentheses(expression: str) -> str:
    """
    The expression without those that DuckDB writes around every operator.
    """
    if expression.startswith("(") and expression.endswith(")"):
        return expression[1:-1]
    return expression
