"""
The operators of lookups, over columns and over values in JSON alike.

``ne`` and ``not_in`` are the exact opposites of ``exact`` and ``in``: as in Python,
NULL differs from every value. A condition and its opposite part the rows in two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, Enum, String, and_, or_, true
from sqlalchemy.types import TypeDecorator

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.dialect.json_queries import COMPARISONS, Condition, JsonValue
from project_architect_db.orm.query_values import bound, fitting

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT: Mapping[str, Callable[[ColumnElement[str], str], Condition]] = {
    "contains": lambda text, part: text.contains(part, autoescape=True),
    "icontains": lambda text, part: text.icontains(part, autoescape=True),
    "startswith": lambda text, part: text.startswith(part, autoescape=True),
    "istartswith": lambda text, part: text.istartswith(part, autoescape=True),
    "endswith": lambda text, part: text.endswith(part, autoescape=True),
    "iendswith": lambda text, part: text.iendswith(part, autoescape=True),
    "like": lambda text, pattern: text.like(pattern),
    "ilike": lambda text, pattern: text.ilike(pattern),
}
PLAIN = ("exact", "ne", *COMPARISONS, "between", "in", "not_in", "isnull")
JSON = (*PLAIN, *TEXT, "has_key")


class ColumnValue:
    """
    The value of a column, or of an expression with a type.
    """

    def __init__(self, column: Any) -> None:
        self.text: ColumnElement[str] = column
        self._type = column.type

    def is_null(self) -> Condition:
        """
        It is NULL.
        """
        return self.text.is_(None)

    def equals(self, value: Any) -> Condition:
        """
        It is this value.
        """
        if value is None:
            return self.is_null()
        found: Condition = self.text == fitting(value, self._type)
        return found

    def is_in(self, values: Sequence[Any]) -> Condition:
        """
        It is one of these values.
        """
        given = [fitting(value, self._type) for value in values if value is not None]
        found = self.text.in_(given)
        return found if len(given) == len(values) else or_(found, self.is_null())

    def compare(self, op: str, value: Any) -> Condition:
        """
        It is less (or more) than this value.
        """
        given = bound(fitting(value, self._type), self._type)
        found: Condition = COMPARISONS[op](self.text, given)
        return found

    def matches(self, condition: Condition) -> Condition:
        """
        A condition on its text.
        """
        return condition


Subject: TypeAlias = ColumnValue | JsonValue


def operators_of(column: Any) -> tuple[str, ...]:
    """
    The operators that a column has.
    """
    if is_json(column):
        return JSON
    return (*PLAIN, *TEXT) if is_text(column) else PLAIN


def is_text(column: Any) -> bool:
    """
    Whether it is a column of text, and of any text.
    """
    type_ = column.type
    if isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
    return isinstance(type_, String) and not isinstance(type_, Enum)


def condition(subject: Subject, op: str, value: Any) -> Condition:
    """
    The condition that an operator makes of a value.

    Raises:
        TypeError: The operator takes no such value; or a `ValueError`.
    """
    if op in _OPPOSITES:
        return opposite(condition(subject, _OPPOSITES[op], value))
    if op in _PLAIN:
        return _PLAIN[op](subject, value)
    if op == "contains" and isinstance(subject, JsonValue):
        return subject.contains(value)
    return subject.matches(TEXT[op](subject.text, _text(value)))


def opposite(condition: Condition) -> Condition:
    """
    It is not so; where SQL says "unknown", as it does of NULL, it is not so, either.
    """
    return condition.is_not(true())


def _text(value: Any) -> str:
    text: str = fitting(value, String())
    return text


def _several(values: Any) -> list[Any]:
    if not isinstance(values, Collection) or isinstance(values, (str, bytes, Mapping)):
        raise TypeError(f"expected several values in a list, not {values!r}")
    return list(values)


def _compare(op: str, subject: Subject, value: Any) -> Condition:
    if value is None:
        raise TypeError("nothing is less or more than None; use isnull")
    return subject.compare(op, value)


def _between(subject: Subject, value: Any) -> Condition:
    low, high = _several(value)
    return and_(_compare("gte", subject, low), _compare("lte", subject, high))


def _isnull(subject: Subject, value: Any) -> Condition:
    if not isinstance(value, bool):
        raise TypeError(f"isnull takes True or False, not {value!r}")
    return subject.is_null() if value else opposite(subject.is_null())


_OPPOSITES = {"ne": "exact", "not_in": "in"}
_PLAIN: dict[str, Callable[[Any, Any], Condition]] = {
    "exact": lambda subject, value: subject.equals(value),
    "in": lambda subject, values: subject.is_in(_several(values)),
    "isnull": _isnull,
    "between": _between,
    "has_key": lambda subject, key: subject.has_key(_text(key)),
    **{op: partial(_compare, op) for op in COMPARISONS},
}
