"""
Whether a value fits a column, before it reaches the database.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Enum, Float, Uuid, cast, literal
from sqlalchemy.types import TypeDecorator, TypeEngine

from project_architect_db.dialect import DuckDBDialect_async
from project_architect_db.dialect.types import ENUM

_DIALECT = DuckDBDialect_async()


def fitting(value: Any, type_: TypeEngine[Any]) -> Any:
    """
    The value as a column of this type compares with it.

    It takes what `BaseRepository.create` takes: text that says a number, "true" and
    "false", members of an enum by their names and their values, text in ISO format for
    a date, a time or a UUID. A `date` is its midnight; without a zone a time is in UTC.

    Raises:
        ValueError: It is of another type, or no column of this type has it.
    """
    if not isinstance(type_, TypeDecorator):  # which may take anything
        value = _of_type(value, type_)
    process = type_.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    if process:
        try:
            process(value)
        except Exception as error:  # a user's type may raise any
            raise ValueError(str(error)) from error
    return value


def _of_type(value: Any, type_: Any) -> Any:
    if isinstance(type_, Enum):
        return _member(value, type_)
    if isinstance(type_, Uuid):
        found = value if isinstance(value, uuid.UUID) else uuid.UUID(_text(value))
        return found if type_.as_uuid else str(found)
    wanted = type_.python_type  # of a type that does not tell, it is object
    if wanted is dt.datetime:
        return _datetime(value, aware=bool(getattr(type_, "timezone", False)))
    if wanted is Decimal and isinstance(value, int) and not isinstance(type_, Float):
        # DuckDB makes it a DECIMAL(38, scale) first, and has ten decimals by default.
        digits = 38 - (10 if type_.scale is None else type_.scale)
        if abs(value) >= 10**digits:
            raise ValueError(f"an integer of more than {digits} digits")
    return _CONVERTERS.get(wanted, _exactly(wanted))(value)


def _member(value: Any, type_: Enum) -> Any:
    if type_.enum_class is None:
        if isinstance(value, str) and value in type_.enums:
            return value
    elif isinstance(value, type_.enum_class):
        return value
    else:
        members = type_.enum_class.__members__
        if isinstance(value, str) and value in members:
            return members[value]
        for member in members.values():
            if type(value) is type(member.value) and value == member.value:
                return member
    raise ValueError(f"{value!r} is none of {', '.join(map(repr, type_.enums))}")


def bound(value: Any, type_: TypeEngine[Any]) -> ColumnElement[Any]:
    """
    The value for SQL that compares it with a column of this type.

    SQLAlchemy compares no bare bool, and DuckDB compares its enums with text as text,
    which is another order than theirs.
    """
    found = literal(value, type_)
    return cast(found, type_) if isinstance(type_, ENUM) else found


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, wanted):
            raise _wrong(wanted.__name__, value)
        return value

    return check


def _wrong(wanted: str, value: Any) -> ValueError:
    return ValueError(f"expected {wanted}, not {type(value).__name__}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong("str", value)
    value.encode()  # what UTF-8 cannot write, no column has
    return value


_INTEGER = re.compile(r"\s*([-+]?\d{1,40})(\.0*)?\s*", re.ASCII)
_NUMBER = re.compile(
    r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.ASCII | re.IGNORECASE
)
_FLAGS = {"0": False, "1": True, "false": False, "true": True}


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if isinstance(value, int | str) and text in _FLAGS:
        return _FLAGS[text]
    raise _wrong("bool", value)


def _integer(value: Any) -> int:
    if isinstance(value, str) and (found := _INTEGER.fullmatch(value)):
        value = int(found[1])
    if isinstance(value, float | Decimal) and math.isfinite(value):
        whole = int(value)
        value = whole if whole == value else value
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong("int", value)
    if abs(value) >= 2**127:
        raise ValueError("an integer of more than 128 bits")
    return value


def _number(value: Any) -> int | float | Decimal:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value.strip())
    if isinstance(value, int):
        return _integer(value)
    if not isinstance(value, (float, Decimal)):
        raise _wrong("a number", value)
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return value


def _float(value: Any) -> int | float:
    number = _number(value)
    return float(number) if isinstance(number, Decimal) else number


def _date(value: Any) -> dt.date:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise _wrong("date", value)
    return value


def _time(value: Any) -> dt.time:
    if isinstance(value, str):
        return dt.time.fromisoformat(value)
    return _exactly(dt.time)(value)  # type: ignore[no-any-return]


def _datetime(value: Any, *, aware: bool) -> dt.datetime:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if not isinstance(value, dt.datetime):
        raise _wrong("datetime", value)
    return in_utc(value) if aware else in_utc(value).replace(tzinfo=None)


def in_utc(value: dt.datetime) -> dt.datetime:
    """
    The same time in UTC, where one without a zone is in UTC already.

    Raises:
        ValueError: It is outside of the years 1–9999 there.
    """
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    try:
        return value.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def day_from(bound: Any) -> Any:
    """
    The first day that does not begin before a time; anything else as it is.
    """
    try:
        if isinstance(bound, str) and len(bound) > len("2026-01-01"):
            bound = dt.datetime.fromisoformat(bound)
        if not isinstance(bound, dt.datetime):
            return bound
        bound = in_utc(bound)
    except ValueError:
        return bound  # which is refused where days are compared with it
    is_midnight = bound.time() == dt.time()
    day = bound.date()
    return day if is_midnight or day == dt.date.max else day + dt.timedelta(days=1)


_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    str: _text,
    bool: _flag,
    int: _integer,
    float: _float,
    Decimal: _number,
    dt.date: _date,
    dt.time: _time,
}
