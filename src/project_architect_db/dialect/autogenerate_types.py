"""
DuckDB's types as a migration script writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import JSONB

from project_architect_db.dialect import types

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.autogenerate.api import AutogenContext

_IMPORT = "from project_architect_db.dialect import types as duckdb_types"


def rendered_type(
    type_: Any, context: AutogenContext, render: Callable[[Any, AutogenContext], str]
) -> str | None:
    """
    A type that SQLAlchemy does not have, or one that may consist of such.

    Args:
        type_: The type.
        context: Gets to know what the script has to import.
        render: What renders any type.
    """

    def part(of: Any) -> str:
        return render(sqltypes.to_instance(of), context)

    def fields(of: Any) -> str:
        return ", ".join(f"{name!r}: {part(type_)}" for name, type_ in of.items())

    name, module = type(type_).__name__, type(type_).__module__
    match type_:
        case sqltypes.ARRAY() if module.startswith("sqlalchemy."):
            sa = context.opts["sqlalchemy_module_prefix"]
            return f"{sa}ARRAY({part(type_.item_type)}, dimensions={type_.dimensions})"
        case JSONB():
            return "postgresql.JSONB()"  # Alembic sees to its import
        case types.Struct() | types.Union():
            arguments = f"{{{fields(type_.fields)}}}"
        case types.Map():
            arguments = f"{part(type_.key_type)}, {part(type_.value_type)}"
        case types.FixedArray():
            arguments = f"{part(type_.item_type)}, {type_.size}"
        case types.ENUM():
            arguments = ", ".join(map(repr, type_.enums))
        case _ if name in types.__all__ and getattr(types, name) is type(type_):
            arguments = ""
        case _:
            return None
    context.imports.add(_IMPORT)
    return f"duckdb_types.{name}({arguments})"
