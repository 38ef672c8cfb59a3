"""
The parts of tables that operations bring along, from SQLAlchemy's objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    UniqueConstraint,
)
from sqlalchemy.sql.type_api import to_instance

from project_architect_db.dialect.alembic_tables import ColumnPart, ConstraintPart

if TYPE_CHECKING:
    from sqlalchemy import Constraint
    from sqlalchemy.engine import Dialect

KINDS: dict[type[Constraint], str] = {
    CheckConstraint: "CHECK",
    ForeignKeyConstraint: "FOREIGN KEY",
    PrimaryKeyConstraint: "PRIMARY KEY",
    UniqueConstraint: "UNIQUE",
}


def column_part(dialect: Dialect, column: Column[Any]) -> ColumnPart:
    """
    A column of SQLAlchemy.
    """
    compiler: Any = dialect.ddl_compiler(dialect, cast("Any", None))
    generated = None
    if column.computed is not None:
        generated = computed_sql(dialect, column.computed)
    return ColumnPart(
        column.name,
        type_sql(dialect, column.type),
        bool(column.nullable or generated),
        compiler.get_column_default_string(column),
        generated,
        column.comment,
    )


def type_sql(dialect: Dialect, type_: Any) -> str:
    """
    A type.
    """
    text: str = dialect.type_compiler_instance.process(to_instance(type_))
    return text


def default_sql(dialect: Dialect, default: Any) -> str | None:
    """
    A server default, as Alembic's operations have it.
    """
    if default is None:
        return None
    compiler: Any = dialect.ddl_compiler(dialect, cast("Any", None))
    text: str = compiler.get_column_default_string(
        Column("x", Integer, server_default=default)
    )
    return text


def computed_sql(dialect: Dialect, computed: Any) -> str:
    """
    The expression of a generated column; refuses what DuckDB cannot store.
    """
    compiler: Any = dialect.ddl_compiler(dialect, cast("Any", None))
    text: str = compiler.visit_computed_column(computed)
    return text.removeprefix("GENERATED ALWAYS AS (").removesuffix(") VIRTUAL")


def constraint_part(dialect: Dialect, constraint: Any) -> ConstraintPart:
    """
    A constraint of SQLAlchemy; DuckDB forgets its name.
    """
    compiler: Any = dialect.ddl_compiler(dialect, cast("Any", None))
    kind = next(name for type_, name in KINDS.items() if isinstance(constraint, type_))
    columns = () if kind == "CHECK" else (c.name for c in constraint.columns)
    return ConstraintPart(kind, tuple(columns), compiler.process(constraint))
