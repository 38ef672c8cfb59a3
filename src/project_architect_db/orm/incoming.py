"""
Data as it comes in: dicts and Pydantic models, checked by a schema where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from project_architect_db.orm.schema import in_our_words

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Data = Mapping[str, Any] | BaseModel
"""What repositories take: a dict, or a Pydantic model."""

SchemaType = type[BaseModel] | None


class Given(NamedTuple):
    """
    A row, and which of its fields were given: not those a schema has defaults for.
    """

    row: Any
    names: Collection[str]


def given(
    rows: Sequence[Any], schema: SchemaType, first: int | None, *,
    aside: Collection[str], json: Collection[str],
) -> list[Given]:  # fmt: skip
    """
    What rows say, checked by a schema if there is one.

    What is neither a dict nor a Pydantic model is left to who looks at its fields.

    Args:
        rows: The data.
        schema: By which to check it.
        first: The number of the first row in errors; `None` for a single one.
        aside: Fields that the schema need not know.
        json: The fields that are JSON.

    Raises:
        UnknownFieldError: The schema has no such field.
        InvalidDataError: A value does not fit its field.
    """
    if schema is None:
        return [
            _of_schema(row, json)
            if isinstance(row, BaseModel)
            else Given(row, row.keys() if isinstance(row, Mapping) else ())
            for row in rows
        ]
    kept: list[dict[str, Any]] = [{}] * len(rows)
    left = [
        row if isinstance(row, schema | dict) else _as_dict(row, json) for row in rows
    ]
    if aside := {name for name in aside if name not in schema.model_fields}:
        kept = [_part(row, aside, inside=True) for row in left]
        left = [_part(row, aside, inside=False) for row in left]
    checked = (_of_schema(made, json) for made in _validated(left, schema, first))
    return [
        Given(others | each.row, {*others, *each.names}) if others else each
        for others, each in zip(kept, checked, strict=True)
    ]


def _as_dict(row: Any, json: Collection[str]) -> Any:
    """
    What another schema was given, or another mapping has; anything else as it is.
    """
    if isinstance(row, BaseModel):
        values, names = _of_schema(row, json)
        return {name: values[name] for name in names}
    return dict(row) if isinstance(row, Mapping) else row


def _part(row: Any, names: Collection[str], *, inside: bool) -> Any:
    if not isinstance(row, dict):
        return {} if inside else row
    return {name: value for name, value in row.items() if (name in names) is inside}


def _validated(
    rows: Sequence[Any], schema: type[BaseModel], first: int | None
) -> list[BaseModel]:
    with suppress(ValidationError):
        return _validator(schema).validate_python(rows)
    one_by_one = []
    for number, row in enumerate(rows):
        try:
            one_by_one.append(schema.__pydantic_validator__.validate_python(row))
        except ValidationError as error:
            index = None if first is None else first + number
            raise in_our_words(error, schema, index=index) from error
    return one_by_one


@lru_cache(maxsize=100)
def _validator(schema: type[BaseModel]) -> TypeAdapter[list[BaseModel]]:
    return TypeAdapter(list[schema])  # type: ignore[valid-type]


def _of_schema(made: BaseModel, json: Collection[str]) -> Given:
    """
    The fields of a schema. A `None` that was not given says nothing.
    """
    names = made.model_fields_set
    row = {
        name: value
        for name, value in vars(made).items()
        if value is not None or name in names
    }
    row |= made.__pydantic_extra__ or {}
    for name in json:
        if (value := row.get(name)) is not None:
            row[name] = to_jsonable_python(value, by_alias=False)
    return Given(row, names)
