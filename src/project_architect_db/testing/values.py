"""
A value for each type of column.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

_WORDS = """
amber anchor autumn beacon birch bridge canyon cedar cobalt copper coral delta ember
falcon fjord garden glacier granite harbor hazel indigo island jasper lagoon lantern
maple marble meadow meteor nickel onyx orbit pebble prairie quartz raven river saffron
sierra silver summit thunder timber tundra velvet violet willow winter zephyr
""".split()  # noqa: SIM905 - as in a dictionary

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def value_for(
    type_: TypeEngine[Any], number: int, random: Random, *, is_unique: bool
) -> Any:
    """
    A value for a column of this type; another one for another number, if it has any.

    Raises:
        LookupError: Nothing is known about the type.
    """
    if isinstance(type_, TypeDecorator) and not isinstance(type_, sa.Interval):
        type_ = type_.impl_instance
    if isinstance(type_, sa.ARRAY):
        return [value_for(type_.item_type, number, random, is_unique=is_unique)]
    if isinstance(type_, sa.Enum):
        members = list(type_.enum_class or type_.enums)
        return members[number % len(members)]
    if isinstance(type_, sa.String):
        return _text(type_.length, number, random, is_unique=is_unique)
    for kind, make in _MAKERS:
        if isinstance(type_, kind):
            return make(type_, number, random)
    raise LookupError(type_)


def json_value_for(schema: Any, number: int, random: Random) -> Any:
    """
    A value for a column of JSON whose annotation says this.
    """
    word = random.choice(_WORDS)
    match schema["type"]:
        case "nullable":
            return json_value_for(schema["schema"], number, random)
        case "union":
            return json_value_for(schema["choices"][0], number, random)
        case "list":
            return [json_value_for(schema.get("items_schema", _ANY), number, random)]
        case "dict":
            inner = schema.get("values_schema", {"type": "int"})
            return {word: json_value_for(inner, number, random)}
        case "any":
            return {word: number}
    return {"str": word, "float": number / 8, "bool": number % 2 == 1}.get(
        schema["type"], number
    )


_ANY = {"type": "any"}


def _text(length: int | None, number: int, random: Random, *, is_unique: bool) -> str:
    text = f"{random.choice(_WORDS)} {random.choice(_WORDS)}"
    if is_unique:  # among those of other factories, too
        token = f"{number}-{random.getrandbits(32):08x}"
        fits = length is None or len(text) + len(token) < length
        text = f"{text} {token}" if fits else token
    return text[:length].rstrip()


def _decimal(type_: Any, number: int, _: Random) -> Decimal:
    scale = 2 if type_.scale is None else type_.scale
    digits = 10 if type_.precision is None else type_.precision
    return Decimal(number % 10**digits).scaleb(-scale)


def _datetime(type_: Any, number: int, _: Random) -> dt.datetime:
    value = _START + dt.timedelta(minutes=number)
    return value if type_.timezone else value.replace(tzinfo=None)


def _uuid(type_: Any, _: int, random: Random) -> Any:
    value = uuid.UUID(int=random.getrandbits(128), version=4)
    return value if type_.as_uuid else value.hex


_MAKERS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any, int, Random], Any]], ...] = (
    (sa.Boolean, lambda _, number, __: number % 2 == 1),
    (sa.Integer, lambda _, number, __: number),
    (sa.Float, lambda _, number, __: number / 8),
    (sa.Numeric, _decimal),
    (sa.DateTime, _datetime),
    (sa.Date, lambda _, number, __: _START.date() + dt.timedelta(days=number)),
    (sa.Time, lambda _, n, __: (_START + dt.timedelta(seconds=n)).time()),
    (sa.Interval, lambda _, number, __: dt.timedelta(minutes=number)),
    (sa.Uuid, _uuid),
    (sa.LargeBinary, lambda _, number, __: str(number).encode()),
)
