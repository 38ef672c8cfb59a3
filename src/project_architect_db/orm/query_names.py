"""
What a name, or an expression, means in a query of a certain model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BindParameter, Double, String, cast, inspect, try_cast
from sqlalchemy.sql import visitors

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.dialect.json_queries import JsonValue, json_value
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.filters import column_of, fields, unknown


def named(entities: Mapping[str, Any], name: str) -> Any:
    """
    The column of a name such as ``status`` or ``project__name``.

    ``architecture__framework`` is a value inside a JSON column, a `JsonValue`.

    Args:
        entities: The model, under the empty path, and what was joined.
        name: Of a field; relationships before it have to be joined.

    Raises:
        UnknownFieldError: There is no such column.
        InvalidDataError: The relationship is not joined.
    """
    path, entity, rest = "", entities[""], name
    while True:
        mapper = inspect(entity).mapper
        first, _, others = rest.partition("__")
        if first not in mapper.relationships:
            break
        path = f"{path}__{first}".lstrip("_")
        if path not in entities:
            raise InvalidDataError(
                f"join({path!r}) has to come first",
                model=entities[""].__name__,
                field=name,
                value=name,
            )
        entity, rest = entities[path], others
    if first in fields(mapper.class_) and others:
        column = getattr(entity, first)
        if not is_json(column):
            raise unknown(mapper.class_, rest, [first])
        return json_value(column, others.split("__"))
    column_of(mapper.class_, rest)
    return getattr(entity, rest)


def ordered(entities: Mapping[str, Any], column: Any) -> list[Any]:
    """
    What ORDER BY gets for a column, or a name with ``-`` before it to descend.

    Values in JSON come in the order of numbers, then in that of text.
    """
    if not isinstance(column, str):
        return [column]
    found = named(entities, column.removeprefix("-"))
    is_json_value = isinstance(found, JsonValue)
    columns: list[Any] = [found.number, found.text] if is_json_value else [found]
    return [c.desc() for c in columns] if column.startswith("-") else columns


def grouped(entities: Mapping[str, Any], column: Any) -> Any:
    """
    What GROUP BY gets for a column or a name; values in JSON are text there.
    """
    if not isinstance(column, str):
        return computed(entities[""], column)
    found = named(entities, column)
    return found.text.label(column) if isinstance(found, JsonValue) else found


_NUMERIC = frozenset(
    """
    avg favg fsum kahan_sum kurtosis mad max mean median min product quantile
    quantile_cont quantile_disc skewness stddev stddev_pop stddev_samp sum sumkahan
    var_pop var_samp variance
    """.split()  # noqa: SIM905 - as in a dictionary
)
_EXTRACTS = ("json_extract", "json_extract_path", "json_extract_path_text",
             "json_extract_string", "json_value")  # fmt: skip


def computed(model: type[Any], expression: Any) -> Any:
    """
    An expression of aggregates, where JSON can be used by name and as numbers.

    ``func.json_extract("architecture", "$.score")`` is about the column of that name,
    and the average (or another aggregate) of JSON values is that of the numbers.

    Raises:
        UnknownFieldError: The model has no column of that name.
        InvalidDataError: It is no expression.
    """

    def visit(function: Any) -> None:
        arguments: list[Any] = function.clauses.clauses
        name = function.name.lower()
        if name.startswith("json_") and arguments:
            arguments[0] = _column_named(model, arguments[0])
        elif name in _NUMERIC and arguments and _is_extract(arguments[0]):
            arguments[0] = try_cast(cast(arguments[0], String), Double)
            function.type = Double()

    if not hasattr(expression, "__clause_element__"):
        raise InvalidDataError(
            "expected an expression such as func.count()",
            model=model.__name__,
            field="aggregate",
            value=expression,
        )
    element = expression.__clause_element__()
    return visitors.cloned_traverse(element, {}, {"function": visit})


def _is_extract(argument: Any) -> bool:
    return is_json(argument) or getattr(argument, "name", None) in _EXTRACTS


def _column_named(model: type[Any], argument: Any) -> Any:
    """
    The JSON column for a text that is its name; anything else as it is.
    """
    name = argument.value if isinstance(argument, BindParameter) else None
    if not isinstance(name, str) or not name.isidentifier():
        return argument
    column = column_of(model, name)
    return column.__clause_element__() if is_json(column) else argument


def flattened(expressions: Iterable[Any]) -> list[Any]:
    """
    The same, with the items of lists among them in place of the lists.
    """
    return [
        item
        for expression in expressions
        for item in (expression if isinstance(expression, list) else [expression])
    ]
