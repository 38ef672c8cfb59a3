"""
Conditions by name: ``status="active"``, ``created_at__gte=day``, ``project__name="x"``.

A lookup is a field, and an operator behind two underscores (``exact`` if there is
none). Relationships lead on to the fields of other models, and keys into JSON:

- any column: ``exact ne lt lte gt gte between in not_in isnull``
- text: ``contains startswith endswith``, with an ``i`` before them without regard to
  case, and ``like ilike`` with patterns
- JSON: all of these and ``has_key``; ``contains`` finds items and entries as well. Only
  the last name can be an operator: ``architecture__in__exact`` is about the key "in"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn, TypeAlias

from sqlalchemy import ColumnElement, and_, false, inspect, or_, true

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.dialect.json_queries import (
    Condition,
    any_json_value,
    json_value,
)
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query_expressions import LateGroup, computed
from project_architect_db.orm.query_fields import column_of, fields, unknown, visible
from project_architect_db.orm.query_operators import (
    JSON,
    ColumnValue,
    condition,
    operators_of,
    opposite,
)
from project_architect_db.orm.query_paths import json_steps

Where: TypeAlias = "ColumnElement[bool] | Group"
"""What stands in a filter without a name."""

DEEPEST_GROUP = 50
"""SQLAlchemy calls itself some ten times for each; Python allows a thousand calls."""


@dataclass(frozen=True, eq=False)
class Group:
    """
    Conditions that are joined; `all_of`, `any_of` and `none_of` make one.

    Groups are joined by ``&`` and ``|`` and turned round by ``~``. They get their
    model from the query they are passed to.

    Example:
        >>> from project_architect_db.orm.filters import all_of, any_of
        >>> easy = any_of(status="draft", name__startswith="toy") & ~all_of(name="x")
        >>> print(easy.on(Project))
        (projects.status = :status_1 OR (projects.name LIKE :name_1 || '%' ESCAPE '/'))\
 AND (projects.name = :name_2) IS NOT true
    """

    how: Literal["all", "any"]
    parts: tuple[Where, ...] = ()
    lookups: Mapping[str, Any] = field(default_factory=dict)
    is_negated: bool = False
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        inner = [part.depth for part in self.parts if isinstance(part, Group)]
        object.__setattr__(self, "depth", 1 + max(inner, default=0))

    def __and__(self, other: Where) -> Group:
        return Group("all", (*_parts("all", self), *_parts("all", other)))

    def __or__(self, other: Where) -> Group:
        return Group("any", (*_parts("any", self), *_parts("any", other)))

    def __clause_element__(self) -> LateGroup:
        """
        What SQLAlchemy's own conditions are joined with: ``(Model.n == 1) | group``.
        """
        return LateGroup(self)

    def __invert__(self) -> Group:
        return replace(self, is_negated=not self.is_negated)

    def on(self, model: type[Any], *, include_deleted: bool = False) -> Condition:
        """
        The condition in SQL.

        Args:
            include_deleted: Whether softly deleted rows of related models count.
        """
        parts = [
            part.on(model, include_deleted=include_deleted)
            if isinstance(part, Group)
            else _condition(model, part, include_deleted=include_deleted)
            for part in self.parts
        ]
        parts += conditions(model, self.lookups, include_deleted=include_deleted)
        joined = and_(true(), *parts) if self.how == "all" else or_(false(), *parts)
        return opposite(joined) if self.is_negated else joined


def _parts(how: str, condition: Where) -> tuple[Where, ...]:
    """
    What is joined that way with another one: long chains are not nested.
    """
    if not isinstance(condition, Group) or condition.how != how:
        return (condition,)
    is_chain = not condition.is_negated and not condition.lookups
    return condition.parts if is_chain else (condition,)


def _condition(model: type[Any], given: Any, *, include_deleted: bool) -> Any:
    return computed(
        model, given, field="filter", example="Model.name == 'x'",
        include_deleted=include_deleted,
    )  # fmt: skip


def all_of(*conditions: Where, **lookups: Any) -> Group:
    """
    Every one of the conditions holds.
    """
    return Group("all", conditions, lookups)


def any_of(*conditions: Where, **lookups: Any) -> Group:
    """
    At least one of the conditions holds.
    """
    return Group("any", conditions, lookups)


def none_of(*conditions: Where, **lookups: Any) -> Group:
    """
    Not one of the conditions holds.
    """
    return ~any_of(*conditions, **lookups)


def conditions(
    model: type[Any], lookups: Mapping[str, Any], *, include_deleted: bool = False
) -> list[Condition]:
    """
    The conditions that lookups stand for.

    Lookups that go along the same relationship are about one and the same row.

    Args:
        model: A mapped class.
        lookups: Values by lookup.
        include_deleted: Whether softly deleted rows of related models count.

    Raises:
        UnknownFieldError: There is no such field, or it has no such operator.
        InvalidDataError: A value does not fit its field.
    """
    found: list[Condition] = []
    related: dict[str, dict[str, Any]] = {}
    for lookup, value in lookups.items():
        name, rest = _split(model, lookup)
        if name not in inspect(model).relationships:
            found.append(_on_column(model, lookup, name, rest, value))
        elif not rest or rest == ["isnull"]:
            is_null = _checked_isnull(model, lookup, rest, value)
            exists = _related(model, name, {}, include_deleted=include_deleted)
            found.append(opposite(exists) if is_null else exists)
        else:
            related.setdefault(name, {})["__".join(rest)] = value
    found += [
        _related(model, name, inner, include_deleted=include_deleted)
        for name, inner in related.items()
    ]
    return found


def json_condition(
    model: type[Any], name: str, path: str, op: str, value: Any
) -> Condition:
    """
    A condition on what a path such as ``$.tags[*].name`` leads to.

    Raises:
        UnknownFieldError: There is no such field or operator.
        InvalidDataError: It is no JSON column, the path is wrong, or the value.
    """
    column = column_of(model, name)
    if not is_json(column):
        _refuse(model, name, path, "is no JSON column")
    if op not in JSON:
        raise unknown(model, str(op), JSON, prefix=f"{name}__")
    try:
        steps = json_steps(path)
    except ValueError as error:
        _refuse(model, name, path, str(error), error)
    keys = [step for step in steps if step is not None]
    try:
        if len(keys) == len(steps):
            return condition(json_value(column, keys), op, value)
        return any_json_value(column, steps, lambda item: condition(item, op, value))
    except (TypeError, ValueError) as error:
        _refuse(model, f"{name}.{path}", value, str(error), error)


def _split(model: type[Any], lookup: str) -> tuple[str, list[str]]:
    """
    The field a lookup begins with, and the names behind it.
    """
    names, known = lookup.split("__"), fields(model)
    for length in range(len(names), 0, -1):
        name = "__".join(names[:length])
        if name in known:
            return name, names[length:]
    raise unknown(model, names[0] or lookup, known)


def _on_column(
    model: type[Any], lookup: str, name: str, rest: list[str], value: Any
) -> Condition:
    column = column_of(model, name)
    known = operators_of(column)
    *keys, op = rest if rest and rest[-1] in known else [*rest, "exact"]
    if keys and not is_json(column):
        raise unknown(model, "__".join(rest), known, prefix=f"{name}__")
    try:
        subject = json_value(column, keys) if is_json(column) else ColumnValue(column)
        return condition(subject, op, value)
    except (TypeError, ValueError) as error:
        _refuse(model, lookup, value, str(error), error)


def _related(
    model: type[Any], name: str, lookups: Mapping[str, Any], *, include_deleted: bool
) -> Condition:
    """
    There is a related row, softly deleted ones left out, that meets the lookups.
    """
    relationship = inspect(model).relationships[name]
    target = relationship.mapper.class_
    inner = conditions(target, lookups, include_deleted=include_deleted)
    if not include_deleted:
        inner += visible(target)
    attribute = getattr(model, name)
    exists = attribute.any if relationship.uselist else attribute.has
    found: Condition = exists(and_(true(), *inner))
    return found


def _checked_isnull(model: type[Any], lookup: str, rest: list[str], value: Any) -> bool:
    if value is None and not rest:
        return True
    if not rest or not isinstance(value, bool):
        _refuse(model, lookup, value, "compare a field of it instead, or None")
    return value


def _refuse(
    model: type[Any], name: str, value: Any, problem: str,
    cause: Exception | None = None,
) -> NoReturn:  # fmt: skip
    raise InvalidDataError(
        problem, model=model.__name__, field=name, value=value
    ) from cause
