"""
What models themselves say of values: `@validates`, and how dataclasses are made.

SQLAlchemy calls a validator when an attribute is set. Rows that are written by columns
set none, so it is called here, on an object that is thrown away.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from project_architect_db.errors import ArchitectError, InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from project_architect_db.orm.fields import Fields

REFUSALS = (ValueError, AssertionError)
"""What a validator raises over a value, as in Pydantic."""


def validated(fields: Fields, row: dict[str, Any], index: int | None) -> dict[str, Any]:
    """
    The row with what the validators of its model make of it.

    Raises:
        InvalidDataError: One of them refuses a value.
    """
    mapper = inspect(fields.model)
    names = row.keys() & mapper.validators.keys()
    if not names:
        return row
    trial = mapper.class_manager.new_instance()
    for name, value in row.items():
        set_attribute(fields, trial, (name, value), index)
    return {
        name: getattr(trial, name) if name in names else value
        for name, value in row.items()
    }


def set_attribute(
    fields: Fields, record: Any, item: tuple[str, Any], index: int | None = None
) -> None:
    """
    Set an attribute; what its validator raises names it.
    """
    name, value = item
    try:
        setattr(record, name, value)
    except ArchitectError:
        raise
    except REFUSALS as error:
        if name not in inspect(fields.model).validators:
            raise
        raise InvalidDataError(
            str(error), model=fields.model.__name__, field=name, value=value,
            index=index,
        ) from error  # fmt: skip


def made_of(fields: Fields, values: Mapping[str, Any]) -> Any:
    """
    A new object of the model.

    Raises:
        InvalidDataError: A validator refuses a value.
    """
    model, given = fields.model, dict(values)
    later: dict[str, Any] = {}
    if dataclasses.is_dataclass(model):
        known = {field.name: field for field in dataclasses.fields(model)}
        is_late = {n for n in given if n in known and not known[n].init}
        later = {name: given.pop(name) for name in is_late}
        for name, field in known.items():
            if field.init and name in fields.columns and _is_required(field):
                given.setdefault(name, None)  # which SQLAlchemy leaves to its default
    try:
        record = model(**given)
    except REFUSALS:
        validated(fields, given, None)  # names the field, if it was a validator
        raise
    for item in later.items():
        set_attribute(fields, record, item)
    return record


def _is_required(field: Any) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def factories_of(model: type[Any]) -> dict[str, Callable[[Any], Any]]:
    """
    What makes the defaults that a dataclass has and its columns do not.
    """
    if not dataclasses.is_dataclass(model):
        return {}
    return {
        field.name: lambda _, make=field.default_factory: make()  # type: ignore[misc]
        for field in dataclasses.fields(model)
        if field.default_factory is not dataclasses.MISSING
    }
