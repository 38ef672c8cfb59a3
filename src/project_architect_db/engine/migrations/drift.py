"""
What models and database differ in, in words.
"""

from __future__ import annotations

from typing import Any


def described(differences: list[Any]) -> tuple[str, ...]:
    """
    One line for each difference that Alembic found.

    ``add`` is what the models have and the database has not.
    """
    lines = []
    for difference in differences:
        # Changes of one column come as a list of their own.
        parts = difference if isinstance(difference, list) else [difference]
        lines += [_line(*part) for part in parts]
    return tuple(lines)


def _line(kind: str, *about: Any) -> str:
    what = kind.replace("_", " ")
    if kind.startswith("modify"):
        schema, table, column, _, old, new = about
        return (
            f"{what} of {_name(schema, table)}.{column}: {_text(old)} to {_text(new)}"
        )
    if kind.endswith("_column"):
        schema, table, column = about
        return f"{what} {_name(schema, table)}.{column.name}"
    item = about[0]
    if kind.endswith(("_table", "_table_comment", "_sequence")):
        return f"{what} {_name(item.schema, item.name)}"
    return f"{what} {item.name} of {_name(item.table.schema, item.table.name)}"


def _name(schema: str | None, name: str) -> str:
    return name if schema is None else f"{schema}.{name}"


def _text(value: Any) -> str:
    return str(getattr(value, "arg", value))
