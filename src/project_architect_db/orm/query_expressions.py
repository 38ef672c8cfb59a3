"""
Expressions of SQLAlchemy in a query of a certain model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import (
    Alias,
    BindParameter,
    Boolean,
    ClauseElement,
    ColumnElement,
    Double,
    Label,
    String,
    TableClause,
    cast,
    inspect,
    try_cast,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors

from project_architect_db.dialect.json_operators import is_json
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.query_fields import column_of

if TYPE_CHECKING:
    from project_architect_db.orm.filters import Group

_NUMERIC = frozenset(
    """
    avg favg fsum kahan_sum kurtosis mad max mean median min product quantile
    quantile_cont quantile_disc skewness stddev stddev_pop stddev_samp sum sumkahan
    var_pop var_samp variance
    """.split()  # noqa: SIM905 - as in a dictionary
)
_OF_TEXT, _TEXT = ("max", "min"), ("json_extract_path_text", "json_extract_string")
_EXTRACTS = ("json_extract", "json_extract_path", "json_value", *_TEXT)
_JSON_WORDS = ("true", "false", "null", "NaN")


class LateGroup(ColumnElement[bool]):
    """
    A group inside of a condition of SQLAlchemy's, until the query tells its model.
    """

    __visit_name__ = "late_group"
    inherit_cache = False
    type = Boolean()

    def __init__(self, group: Group) -> None:
        self.group = group

    @property
    def _from_objects(self) -> list[Any]:
        return []


@compiles(LateGroup)
def _late_group(element: LateGroup, _: Any, **__: Any) -> NoReturn:
    raise InvalidDataError(
        "only the filter() of a query knows the model that a group is about",
        model="Group", field="filter", value=element.group,
    )  # fmt: skip


def element_of(model: type[Any], field: str, given: Any, example: str) -> Any:
    """
    The element of an expression.

    Raises:
        InvalidDataError: It is none.
    """
    is_element = isinstance(given, ClauseElement)
    if not is_element and not hasattr(given, "__clause_element__"):
        raise InvalidDataError(
            f"expected an expression such as {example}, not {given!r}",
            model=model.__name__, field=field, value=given,
        )  # fmt: skip
    return given if is_element else given.__clause_element__()


def computed(
    model: type[Any], expression: Any, *, field: str = "aggregate",
    example: str = "func.count()", include_deleted: bool = False,
) -> Any:  # fmt: skip
    """
    An expression, where JSON can be used by name, and by aggregates as numbers.

    ``func.json_extract("architecture", "$.score")`` is about the column of that name,
    and the average (or another aggregate) of JSON values is that of the numbers.
    Groups in it are about the model.

    Raises:
        UnknownFieldError: The model has no column of that name.
        InvalidDataError: It is no expression.
    """

    def visit(function: Any) -> None:
        arguments: list[Any] = function.clauses.clauses
        if _names_a_column(function):
            arguments[0] = _column_named(model, arguments[0])
        elif _is_of_numbers(function):
            arguments[0] = try_cast(cast(arguments[0], String), Double)
            function.type = Double()

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, LateGroup):
            return element.group.on(model, include_deleted=include_deleted)
        return None

    element = element_of(model, field, expression, example)
    parts = list(visitors.iterate(element))
    if any(isinstance(part, LateGroup) for part in parts):
        element = visitors.replacement_traverse(element, {}, replace)
    elif not any(_names_a_column(part) or _is_of_numbers(part) for part in parts):
        return expression  # the very one: copies are no columns of the model any more
    return visitors.cloned_traverse(element, {}, {"function": visit})


def _function(element: Any) -> tuple[str, Any]:
    """
    The name of a function, and its first argument.
    """
    if element.__visit_name__ != "function" or not element.clauses.clauses:
        return "", None
    return element.name.lower(), element.clauses.clauses[0]


def _names_a_column(element: Any) -> bool:
    """
    Whether it is a function on JSON with a text that may be the name of a column.
    """
    name, argument = _function(element)
    if not name.startswith("json_") or not isinstance(argument, BindParameter):
        return False
    text = argument.value
    is_name = isinstance(text, str) and text.isidentifier()
    return is_name and text not in _JSON_WORDS


def _is_of_numbers(element: Any) -> bool:
    """
    Whether it is a numeric aggregate of JSON, of which it wants the number.

    The greatest of what was asked for as text is a text.
    """
    name, argument = _function(element)
    inner = getattr(argument, "name", None)
    if name not in _NUMERIC or (name in _OF_TEXT and inner in _TEXT):
        return False
    return is_json(argument) or inner in _EXTRACTS


def _column_named(model: type[Any], argument: Any) -> Any:
    """
    The JSON column for a text that is its name; the text, if it is of another type.
    """
    column = column_of(model, argument.value)
    return column.__clause_element__() if is_json(column) else argument


def require_joined(entities: Mapping[str, Any], expressions: Iterable[Any]) -> None:
    """
    Refuse columns of a table that is not part of the query.

    SQL would pair each row of one table with each row of the other.

    Raises:
        InvalidDataError: There is such a column.
    """
    known = tables_of(entities.values())
    for expression in expressions:
        for table in tables_in(expression):
            if table not in known:
                raise InvalidDataError(
                    f"{table.name} is not part of the query; join() it first, or "
                    "filter along the relationship",
                    model=entities[""].__name__, field="join", value=str(expression),
                )  # fmt: skip


def tables_of(entities: Iterable[Any]) -> set[Any]:
    """
    The tables, or the aliases of tables, that have the rows of models.
    """
    return {
        table for entity in entities for table in tables_in(inspect(entity).selectable)
    }


def tables_in(expression: Any) -> list[Any]:
    """
    The tables that an expression has columns of, subqueries left out.
    """
    element = getattr(expression, "__clause_element__", lambda: expression)()
    found = element._from_objects  # noqa: SLF001 - all else looks into subqueries, too
    return [table for table in found if isinstance(_unaliased(table), TableClause)]


def _unaliased(source: Any) -> Any:
    return source.element if isinstance(source, Alias) else source


def as_grouped(groups: Iterable[Any], expression: Any) -> Any:
    """
    The expression with the very parts that the rows are grouped by.

    Equal ones would have parameters of their own, and DuckDB does not know by then
    that these have the same value.
    """
    same = [_unlabelled(group) for group in groups if _has_parameters(group)]

    def replace(element: Any, **_: Any) -> Any:
        return next((group for group in same if element.compare(group)), None)

    if not same or any(expression is group for group in groups):
        return expression
    return visitors.replacement_traverse(expression, {}, replace)


def _unlabelled(expression: Any) -> Any:
    return expression.element if isinstance(expression, Label) else expression


def _has_parameters(expression: Any) -> bool:
    parts = visitors.iterate(expression)
    return any(isinstance(part, BindParameter) for part in parts)


def flattened(expressions: Iterable[Any]) -> list[Any]:
    """
    The same, with the items of lists among them in place of the lists.
    """
    return [
        item
        for expression in expressions
        for item in (
            expression if isinstance(expression, list | tuple) else [expression]
        )
    ]
