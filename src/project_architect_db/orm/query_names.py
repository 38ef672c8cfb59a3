"""
What a name, or an expression, means in a query of a certain model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.dialect.json_queries import JsonValue, json_value
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query_expressions import computed
from project_architect_db.orm.query_fields import column_of, fields, unknown


def named(entities: Mapping[str, Any], name: str) -> Any:
    """
    The column of a name such as ``status`` or ``project__name``.

    ``architecture__framework`` is a value inside a JSON column, a `JsonValue`.

    Args:
        entities: The model, under the empty path, and what was joined.
        name: Of a field; relationships before it have to be joined.

    Raises:
        UnknownFieldError: There is no such column.
        InvalidDataError: The relationship is not joined, or UTF-8 cannot write a key.
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
        column = column_of(mapper.class_, first, entity)
        if not is_json(column):
            raise unknown(mapper.class_, rest, [first])
        try:
            return json_value(column, others.split("__"))
        except ValueError as error:  # a key that UTF-8 cannot write
            raise InvalidDataError(
                str(error), model=mapper.class_.__name__, field=name, value=name
            ) from error
    return column_of(mapper.class_, rest, entity)


def ordered(entities: Mapping[str, Any], column: Any) -> list[Any]:
    """
    What ORDER BY gets for a column, or a name with ``-`` before it to descend.

    Values in JSON come in the order of numbers, then in that of text.
    """
    if not isinstance(column, str):
        return [expression(entities, column, "order_by")]
    found = named(entities, column.removeprefix("-"))
    is_json_value = isinstance(found, JsonValue)
    columns: list[Any] = [found.number, found.text] if is_json_value else [found]
    return [c.desc() for c in columns] if column.startswith("-") else columns


def expression(entities: Mapping[str, Any], column: Any, field: str) -> Any:
    """
    A column or an expression that was not given by its name.

    Raises:
        InvalidDataError: It is neither.
    """
    example = "Model.column, or a name"
    return computed(entities[""], column, field=field, example=example)


def valued(entities: Mapping[str, Any], column: Any, field: str) -> Any:
    """
    What DISTINCT gets for a column or a name; values in JSON are text there.
    """
    if not isinstance(column, str):
        return expression(entities, column, field)
    found = named(entities, column)
    return found.text if isinstance(found, JsonValue) else found


def grouped(entities: Mapping[str, Any], column: Any) -> Any:
    """
    What GROUP BY gets; a name is that of the row's column, too.
    """
    found = valued(entities, column, "group_by")
    name = column if isinstance(column, str) else getattr(column, "key", None)
    if not isinstance(name, str) or name == getattr(found, "name", None):
        return found
    return labelled(entities[""], found, name)


# SQLAlchemy looks for these in the whole statement, between quotes, too.
_PARAMETERS = ("%(", "__[POSTCOMPILE_")


def labelled(model: type[Any], expression: Any, name: str) -> Any:
    """
    The expression under the name it gets in the row.

    Raises:
        InvalidDataError: SQL cannot have the name.
    """
    is_utf8 = name == name.encode(errors="ignore").decode()
    if not (name and is_utf8) or any(part in name for part in _PARAMETERS):
        problem = "no column of a row can be called that"
        raise InvalidDataError(problem, model=model.__name__, field=name, value=name)
    return expression.label(name)
