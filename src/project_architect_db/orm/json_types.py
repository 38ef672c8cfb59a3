"""
What a JSON column takes, by the annotation of its attribute.
"""

from __future__ import annotations

import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints
from typing import is_typeddict as _is_typed_dict

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


def declared_schema(model: type[Any], name: str) -> CoreSchema:
    """
    The schema of an attribute such as ``Mapped[list[str]]``.

    It takes anything, if the annotation says nothing that JSON knows.
    """
    for kind in model.__mro__:
        hint = vars(kind).get("__annotations__", {}).get(name)
        if hint is not None:
            return _schema_of(_inside_of_mapped(kind, hint))
    return core_schema.any_schema()


def _inside_of_mapped(kind: type[Any], hint: Any) -> Any:
    alone = types.new_class("alone")
    alone.__annotations__, alone.__module__ = {"it": hint}, kind.__module__
    with suppress(Exception):  # a name that only type checkers know
        inside = get_args(get_type_hints(alone)["it"])
        return inside[0] if inside else Any
    return Any


_SCALARS: dict[Any, CoreSchema] = {
    str: core_schema.str_schema(strict=True),
    int: core_schema.int_schema(strict=True),
    float: core_schema.float_schema(strict=True),
    bool: core_schema.bool_schema(strict=True),
    types.NoneType: core_schema.none_schema(),
}
_KEYS = core_schema.str_schema(strict=True)
"""A key of another type would come back as text."""


def _schema_of(hint: Any) -> CoreSchema:
    if hint in _SCALARS:
        return _SCALARS[hint]
    kind, inside = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, types.UnionType):
        return _any_of(inside)
    if kind is list:
        return core_schema.list_schema(_schema_of(inside[0]) if inside else None)
    if kind is dict or _is_typed_dict(kind):
        values = _schema_of(inside[1]) if inside else None
        return core_schema.dict_schema(_KEYS, values)
    return core_schema.any_schema()


def _any_of(hints: tuple[Any, ...]) -> CoreSchema:
    choices = [_schema_of(hint) for hint in hints if hint is not types.NoneType]
    schema = choices[0]
    if len(choices) > 1:
        schema = core_schema.union_schema(
            [*choices], custom_error_type="no_choice",
            custom_error_message=f"Input should be one of {len(choices)} types",
        )  # fmt: skip
    is_optional = len(choices) < len(hints)
    return core_schema.nullable_schema(schema) if is_optional else schema
