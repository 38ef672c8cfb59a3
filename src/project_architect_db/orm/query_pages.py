"""
Pages by key: each begins after the last row of the one before, at any depth as fast.

Unlike with an offset, no row is shown twice or left out when others come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, and_, false, inspect, or_
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.types import TypeEngine

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.dialect.json_queries import Condition
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query_values import bound, fitting

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Page(Generic[ItemT]):
    """
    Some of the results, and where the next ones begin.

    Attributes:
        items: The objects on this page.
        has_more: Whether there is another page.
        next_cursor: What to ask for it with; `None` on the last page.

    Example:
        >>> from project_architect_db.orm.query_pages import Page
        >>> Page(["a", "b"], has_more=False).items
        ['a', 'b']
    """

    items: list[ItemT]
    has_more: bool
    next_cursor: str | None = None


@dataclass(frozen=True)
class Key:
    """
    A column that rows are ordered by.
    """

    name: str
    column: Any
    type: TypeEngine[Any]
    is_nullable: bool
    is_descending: bool = False
    are_nulls_first: bool = False

    @property
    def order(self) -> ColumnElement[Any]:
        """
        For ORDER BY; where NULLs go is said, as databases differ in it.
        """
        order = self.column.desc() if self.is_descending else self.column.asc()
        if self.is_nullable:
            order = order.nulls_first() if self.are_nulls_first else order.nulls_last()
        return order  # type: ignore[no-any-return]

    def same(self, value: Any) -> Condition:
        """
        Rows that have this value.
        """
        found: Condition = self.column == value  # None makes it IS NULL
        return found

    def beyond(self, value: Any) -> Condition:
        """
        Rows that come after those that have this value.
        """
        found: Condition
        if value is None:
            found = self.column.is_not(None) if self.are_nulls_first else false()
            return found
        value = bound(value, self.type)
        found = self.column < value if self.is_descending else self.column > value
        if self.is_nullable and not self.are_nulls_first:
            found = or_(found, self.column.is_(None))
        return found


def keys_of(model: type[Any], order: Sequence[Any]) -> list[Key]:
    """
    The keys in an ORDER BY, and the primary key behind them.

    Raises:
        InvalidDataError: It orders by something else than a column of the model.
    """
    keys = [_key(model, expression) for expression in order]
    mapper = inspect(model)
    for column in mapper.primary_key:
        name = mapper.get_property_by_column(column).key
        if name not in [key.name for key in keys]:
            keys.append(_key(model, getattr(model, name)))
    return keys


_DIRECTIONS: dict[Any, dict[str, bool]] = {
    operators.desc_op: {"is_descending": True},
    operators.asc_op: {},
    operators.nulls_first_op: {"are_nulls_first": True},
    operators.nulls_last_op: {},
}


def _key(model: type[Any], expression: Any) -> Key:
    directions: dict[str, bool] = {}
    element = expression
    while isinstance(element, UnaryExpression) and element.modifier in _DIRECTIONS:
        directions |= _DIRECTIONS[element.modifier]
        element = element.element
    if hasattr(element, "__clause_element__"):
        element = element.__clause_element__()
    try:
        name = inspect(model).get_property_by_column(element).key
    except UnmappedColumnError:
        name = ""
    if not name or is_json(element):
        raise InvalidDataError(
            "pages by key follow plain columns of the model; use limit() and offset()",
            model=model.__name__,
            field="order_by",
            value=str(expression),
        )
    is_nullable = getattr(element, "nullable", True)  # an expression does not say
    return Key(name, getattr(model, name), element.type, is_nullable, **directions)


def after(model: type[Any], keys: Sequence[Key], values: Sequence[Any]) -> Condition:
    """
    Rows that come after the one with these values of the keys.

    Raises:
        InvalidDataError: They are too many or too few, or do not fit.
    """
    if len(keys) != len(values):
        names = ", ".join(key.name for key in keys)
        raise refused_cursor(model, values, f"expected the values of {names}")
    found: Condition = false()
    same: list[Condition] = []
    for key, given in zip(keys, values, strict=True):
        try:
            value = None if given is None else fitting(given, key.type)
        except (TypeError, ValueError) as error:
            raise refused_cursor(model, values, f"{key.name}: {error}") from error
        beyond = key.beyond(value)
        found = or_(found, and_(*same, beyond))
        same.append(key.same(value))
    return found


def refused_cursor(model: type[Any], value: Any, problem: str) -> InvalidDataError:
    """
    The error for where a page cannot begin.
    """
    return InvalidDataError(problem, model=model.__name__, field="cursor", value=value)
