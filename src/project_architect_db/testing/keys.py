"""
What the columns of a model need, and what they refer to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKeyConstraint, Table, inspect

from project_architect_db.dialect.foreign_keys import SOFTLY_DELETED
from project_architect_db.orm.fields import fields_of


class Reference:
    """
    A foreign key, and the model it leads to.
    """

    def __init__(self, model: type[Any], constraint: ForeignKeyConstraint) -> None:
        columns = fields_of(model).columns
        names: dict[Any, str] = {column: name for name, column in columns.items()}
        table = constraint.referred_table
        mappers = inspect(model).registry.mappers
        mapper = next((m for m in mappers if m.local_table is table), None)
        self.target = None if mapper is None else mapper.class_
        self.names = [names[element.parent] for element in constraint.elements]
        self._columns = [element.column for element in constraint.elements]
        unique = unique_columns(fields_of(model).table)
        self.is_unique = any(columns[name] in unique for name in self.names)
        self.is_required = all(
            not columns[name].nullable and not has_default(columns[name])
            for name in self.names
        )

    def to(self, parent: Any) -> dict[str, Any]:
        """
        The values that refer to a row.
        """
        key_of = inspect(type(parent)).get_property_by_column
        values = [getattr(parent, key_of(column).key) for column in self._columns]
        return dict(zip(self.names, values, strict=True))


def references(model: type[Any]) -> list[Reference]:
    """
    The foreign keys of a model, always in the same order.
    """
    constraints = fields_of(model).table.foreign_key_constraints
    found = [Reference(model, constraint) for constraint in constraints]
    return sorted(found, key=lambda reference: reference.names)


def unique_columns(table: Table) -> set[Any]:
    """
    The columns that have to tell rows apart, alone or with others.
    """
    groups: list[Iterable[Any]] = [
        constraint.columns
        for constraint in table.constraints
        if isinstance(constraint, (sa.UniqueConstraint, sa.PrimaryKeyConstraint))
    ]
    groups += [index.columns for index in table.indexes if index.unique]
    return {column for columns in groups for column in columns}


def needs_value(column: Column[Any]) -> bool:
    """
    Whether nobody else makes a value for the column.
    """
    return not (
        has_default(column)
        or column.foreign_keys
        or column.computed is not None
        or column is column.table.autoincrement_column
        or SOFTLY_DELETED in column.info
    )


def has_default(column: Column[Any]) -> bool:
    """
    Whether Python or the database has a default for it.
    """
    return column.default is not None or column.server_default is not None
