"""
Operators on JSON, where SQLAlchemy's and PostgreSQL's mean something else in DuckDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, exc
from sqlalchemy import types as sqltypes
from sqlalchemy.sql import operators

from project_architect_db.dialect.types import TextAsJson

if TYPE_CHECKING:
    from collections.abc import Callable

EQUALITY = {operators.eq, operators.ne, operators.in_op, operators.not_in_op,
             operators.is_distinct_from, operators.is_not_distinct_from}  # fmt: skip


def is_json(element: Any) -> bool:
    """
    Whether an expression is JSON.
    """
    type_ = getattr(element, "type", sqltypes.NULLTYPE)  # a subquery has none
    return type_._type_affinity is sqltypes.JSON


def is_text(element: Any) -> bool:
    """
    Whether it is text: no Enum or TypeDecorator, which convert what they are given.
    """
    return type(element.type) in (sqltypes.String, sqltypes.Unicode, sqltypes.Text)


def with_text_as_json(binary: Any) -> Any:
    """
    The same comparison; a bound text opposite of JSON becomes a JSON string.

    SQLAlchemy binds numbers and text compared with JSON as what they are, and only
    lists, dicts and unknown parameters as JSON. DuckDB then compares numbers as
    numbers, but takes any text for JSON text, which ``x`` without quotes is not.
    """
    for side, other in (("left", binary.right), ("right", binary.left)):
        value = getattr(binary, side)
        if isinstance(value, BindParameter) and is_text(value) and is_json(other):
            binary = binary._clone()
            setattr(binary, side, value._with_binary_element_type(TextAsJson()))
    return binary


def _names_in(json: str) -> str:
    """
    What PostgreSQL's ``?`` looks at, as JSON[]: keys, items of a list, or a string.
    """
    return _items(
        f"CASE json_type({json}) WHEN 'ARRAY' THEN {json} "
        f"WHEN 'OBJECT' THEN to_json(json_keys({json})) "
        f"ELSE CAST('[' || {json} || ']' AS JSON) END"
    )


def _items(json: str) -> str:
    return f"CAST({json} AS JSON[])"


def _json_contains(whole: str, part: str) -> str:
    """
    PostgreSQL's ``@>``: the top of `whole` has what `part` has.

    DuckDB's json_contains searches at every depth: so both get a key at the top
    that is nowhere else. A list contains a single value without brackets too.
    """
    part = (
        f"CASE WHEN json_type({whole}) = 'ARRAY' "
        f"AND json_type({part}) NOT IN ('ARRAY', 'OBJECT') "
        f"THEN '[' || {part} || ']' ELSE {part} END"
    )
    whole, part = (f"""'{{"@>":' || {json} || '}}'""" for json in (whole, part))
    return f"json_contains({whole}, {part})"


JSONB: dict[str, Callable[[str, str], str]] = {
    "?": lambda json, name: f"list_contains({_names_in(json)}, {name})",
    "?|": lambda json, names: f"list_has_any({_names_in(json)}, {_items(names)})",
    "?&": lambda json, names: f"list_has_all({_names_in(json)}, {_items(names)})",
    "@>": _json_contains,
    "<@": lambda part, whole: _json_contains(whole, part),
}
"""PostgreSQL's has_key, has_any, has_all, contains and contained_by on JSONB."""

INSTEAD_OF_JSONB = {
    "||": "func.json_merge_patch(column, other)",
    "#-": "func.json_remove(column, '$.key')",
    "@?": "func.json_exists(column, '$.key')",
    "@@": "column['key'].as_integer() > 5, or the like",
}
"""What to write for those that nothing in DuckDB does exactly."""


def no_operator(opstring: str) -> exc.CompileError:
    """
    The error for an operator on JSON that DuckDB does not have.
    """
    return exc.CompileError(
        f"DuckDB has no operator {opstring} on JSON; use {INSTEAD_OF_JSONB[opstring]}"
    )


def refuse_concatenated_json(operator: Any, first: Any) -> None:
    """
    Refuse ``||`` on JSON: DuckDB puts the texts next to each other, which is no JSON.
    """
    if operator is operators.concat_op and is_json(first):
        raise no_operator("||")
