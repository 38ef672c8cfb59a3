"""
What a time series is of: columns and aggregates of any model, checked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Float,
    FunctionFilter,
    Integer,
    Numeric,
    Over,
    TypeDecorator,
    WithinGroup,
    cast,
    distinct,
    func,
    inspect,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from project_architect_db.errors import InvalidQuestionError

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

Metric: TypeAlias = "ColumnElement[Any] | str | tuple[str, Any] | None"


def _median(column: Any) -> ColumnElement[Any]:
    # Of a DECIMAL it would be rounded to one.
    return func.median(cast(column, Double))


_METRICS: Mapping[str, Callable[[Any], ColumnElement[Any]]] = {
    "count": func.count, "distinct": lambda column: func.count(distinct(column)),
    "sum": func.sum, "avg": func.avg, "median": _median, "min": func.min,
    "max": func.max,
}  # fmt: skip

_AGGREGATES = (FunctionElement, FunctionFilter, WithinGroup, Over)


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What a time series is of.

    Attributes:
        key: Equal for terms that are the same SQL with the same values.
        time: The attribute that says when.
        metric: What is told of the rows of a bucket.
        by: What they are split by.
        join: Relationships to what else is read.
        where: Conditions on the rows.
    """

    key: Hashable
    time: Any = field(compare=False)
    metric: Any = field(compare=False)
    by: Any = field(compare=False, default=None)
    join: tuple[Any, ...] = field(compare=False, default=())
    where: tuple[Any, ...] = field(compare=False, default=())

    @classmethod
    def of(
        cls, time: Any, metric: Any, by: Any = None, join: Any = (), where: Any = ()
    ) -> Terms:
        """
        The terms, unchecked: most of them are known already.
        """
        joined, conditions = _several(join), _several(where)
        given = (time, metric, by, joined, conditions)
        return cls(_key(given), time, metric, by, joined, conditions)

    @property
    def entity(self) -> Any:
        """
        The model, or an alias of it, that the time is of.
        """
        return self.time.parent.entity

    def checked(self) -> Terms:
        """
        The terms with their metric as an expression, if they make sense.

        Raises:
            InvalidQuestionError: They do not.
        """
        kind_of(self.time)
        for name, values in (
            ("by", () if self.by is None else (self.by,)), ("where", self.where),
        ):  # fmt: skip
            for value in values:
                if _expression(value) is None:
                    raise InvalidQuestionError(
                        f"expected SQL made of columns of models, not {value!r}",
                        argument=name, value=value,
                    )  # fmt: skip
        for value in self.where:
            kind = _type_of(_expression(value))
            if not isinstance(kind, (Boolean, Integer, NullType)):
                raise InvalidQuestionError(
                    f"expected a condition, not something of type {kind!r}",
                    argument="where", value=value,
                )  # fmt: skip
        metric = metric_of(self.metric)
        return Terms(self.key, self.time, metric, self.by, self.join, self.where)


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


# --- keys -----------------------------------------------------------------------------


def _key(given: Any) -> Hashable:
    """
    What tells one expression from another, as SQLAlchemy's own cache does.
    """
    if isinstance(given, tuple):
        return tuple(map(_key, given))
    make = getattr(given, "_generate_cache_key", None)
    if make is None:
        return given if isinstance(given, Hashable) else repr(given)
    key = make()
    if key is None:
        return _Alone()
    return key.key, tuple(hashable(bind.effective_value) for bind in key.bindparams)


class _Alone:
    """
    Equal to nothing else: of an expression that SQLAlchemy cannot tell from others.
    """


def hashable(value: Any) -> Hashable:
    """
    What stands for a value in a key; 1 is another one than true.
    """
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return type(value), value


# --- times ----------------------------------------------------------------------------


def kind_of(time: Any) -> type[TypeEngine[Any]]:
    """
    `DateTime` or `Date`: what an attribute is.

    Raises:
        InvalidQuestionError: It is none of a model, or no time.
    """
    is_attribute = isinstance(time, InstrumentedAttribute)
    type_ = _plain_type(getattr(time, "type", None)) if is_attribute else None
    for kind in (DateTime, Date):
        if isinstance(type_, kind):
            return kind
    raise InvalidQuestionError(
        f"expected a column of a model that holds times or dates, not {time}",
        argument="time", value=time,
    )  # fmt: skip


def has_zone(time: Any) -> bool:
    """
    Whether an attribute is a TIMESTAMPTZ.
    """
    return bool(getattr(_plain_type(time.type), "timezone", False))


def _plain_type(type_: Any) -> Any:
    return type_.impl_instance if isinstance(type_, TypeDecorator) else type_


# --- metrics --------------------------------------------------------------------------


def metric_of(metric: Any) -> ColumnElement[Any]:
    """
    A metric as an aggregate in SQL.

    Raises:
        InvalidQuestionError: It is none.
    """
    if metric is None or (isinstance(metric, str) and metric == "count"):
        return func.count()
    if isinstance(metric, tuple) and len(metric) == 2:
        name, column = metric
        if isinstance(name, str) and name in _METRICS and _is_sql(column):
            return _numbers(_METRICS[name](column), metric)
    found = _expression(metric)
    if found is not None and _aggregates(found) and not _has_column(found):
        return _numbers(found, metric)
    raise InvalidQuestionError(
        f'expected an aggregate such as func.sum(Order.total), "count", or one of '
        f'{", ".join(_METRICS)} with a column, as in ("sum", Order.total), not '
        f"{metric!r}",
        argument="metric", value=metric,
    )  # fmt: skip


def _numbers(found: ColumnElement[Any], metric: Any) -> ColumnElement[Any]:
    kind = _type_of(found)
    if not isinstance(kind, (Numeric, Float, Integer, Boolean, NullType)):
        raise InvalidQuestionError(
            f"expected numbers, not something of type {kind!r}",
            argument="metric", value=metric,
        )  # fmt: skip
    return found


def _type_of(found: Any) -> Any:
    return _plain_type(found.type)


def is_additive(metric: Any) -> bool:
    """
    Whether a bucket without rows has the value 0: of counts and sums.
    """
    if isinstance(metric, tuple):
        return metric[0] in ("count", "distinct", "sum")
    return metric is None or getattr(metric, "name", metric) in ("count", "sum")


def _is_sql(value: Any) -> bool:
    return _expression(value) is not None


def _expression(value: Any) -> ColumnElement[Any] | None:
    """
    A value as SQL, if it is any.
    """
    found = inspect(value, raiseerr=False)
    clause = getattr(found, "expression", found)
    return clause if isinstance(clause, ColumnElement) else None


def _aggregates(element: Any) -> bool:
    return isinstance(element, _AGGREGATES) or any(
        map(_aggregates, element.get_children())
    )


def _has_column(element: Any) -> bool:
    """
    Whether there is a column that is not in a function.
    """
    return isinstance(element, ColumnClause) or (
        not isinstance(element, _AGGREGATES)
        and any(map(_has_column, element.get_children()))
    )
