"""
Names of constraints.

DuckDB forgets the name that a constraint was given, and calls it after its table and
columns: ``books_title_key``. A migration may use that name, or the one in the models.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from project_architect_db.dialect.alembic_parts import KINDS, constraint_part
from project_architect_db.dialect.catalog import folded
from project_architect_db.errors import InvalidStatementError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Constraint
    from sqlalchemy.engine import Dialect

    from project_architect_db.dialect.alembic_tables import ConstraintPart, TableParts


def find_constraint(
    table: TableParts, asked: Any, models: Any, dialect: Dialect
) -> ConstraintPart | None:
    """
    The constraint that is meant, if there is one.

    Args:
        table: The table as it is.
        asked: A constraint with a name, and a type if it was given.
        models: The metadata of the models, if there is one, or several.
        dialect: The dialect.

    Raises:
        InvalidStatementError: It could be any of several.
    """
    kinds = {kind for type_, kind in KINDS.items() if isinstance(asked, type_)}
    candidates = [c for c in table.constraints if not kinds or c.kind in kinds]
    name = _final_name(asked, dialect)
    found = [c for c in candidates if name and folded(c.name or "") == folded(name)]
    if not found:
        meant = {
            _identity(constraint_part(dialect, constraint))
            for constraint in _declared(models, table)
            if type(constraint) in KINDS and _final_name(constraint, dialect) == name
        }
        if getattr(asked, "_type_bound", False):  # the CHECK of an Enum, for example
            meant.add(_identity(constraint_part(dialect, asked)))
        found = [c for c in candidates if _identity(c) in meant]
    if len(found) > 1:
        raise InvalidStatementError(
            f"{table.name} has {len(found)} constraints {name!r}, which DuckDB cannot "
            "tell apart; drop the column or the table, or build the table anew by hand"
        )
    return found[0] if found else None


def no_constraint(table: TableParts, asked: Any) -> InvalidStatementError:
    """
    What to raise when there is none.
    """
    known = ", ".join(f"{c.name}: {c.sql}" for c in table.constraints) or "none"
    return InvalidStatementError(
        f"{table.name} has no constraint {asked.name!r}; DuckDB names them itself, and "
        f"there are: {known}"
    )


def _final_name(constraint: Any, dialect: Dialect) -> str | None:
    """
    The name after the naming convention of its metadata.
    """
    if constraint.name is None:
        return None
    preparer: Any = dialect.identifier_preparer
    name: str | None = preparer.format_constraint(constraint, _alembic_quote=False)
    return name


def _declared(models: Any, table: TableParts) -> Iterator[Constraint]:
    key = table.name if table.schema is None else f"{table.schema}.{table.name}"
    for metadata in models if isinstance(models, list | tuple) else [models]:
        if metadata is not None and key in metadata.tables:
            yield from metadata.tables[key].constraints


def _identity(part: ConstraintPart) -> tuple[object, ...]:
    """
    What two spellings of a constraint have in common; a CHECK has no columns yet.
    """
    if part.kind == "CHECK":
        condition = part.sql[part.sql.index("CHECK") :]
        plain = re.sub(r"[\s()\"]", "", condition).lower()
        return (part.kind, plain.replace("<>", "!="))
    return (part.kind, part.columns)
