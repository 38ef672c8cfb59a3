"""
Cursors: the place of an object in a query, in text for a URL.

A cursor has the values of the keys, and a mark of the query it is of: its model, its
order and its filters. With another query it would leave rows out without a word.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, literal_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from project_architect_db.dialect import DuckDBDialect_async
from project_architect_db.orm.query_pages import Key, refused_cursor

_DIALECT = DuckDBDialect_async()


def mark_of(model: type[Any], keys: Sequence[Key], statement: Select[Any]) -> str:
    """
    What tells a query from others: a short hash of model, order and filters.

    Args:
        model: The model.
        keys: The keys of the order.
        statement: The query, without the place where the page begins.
    """
    rows: Select[Any] = statement.with_only_columns(
        literal_column("1"), maintain_column_froms=True
    )
    compiled = rows.compile(dialect=_DIALECT)
    values = [
        _canonical(value, compiled.binds[name].type)
        for name, value in sorted(compiled.params.items())
    ]
    order = [
        (key.name, key.is_descending, key.is_nullable and key.are_nulls_first)
        for key in keys
    ]
    told = repr((model.__module__, model.__qualname__, order, str(compiled), values))
    return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()[:16]


def _canonical(value: Any, type_: TypeEngine[Any]) -> Any:
    """
    The value as the database gets it, which is the same in each process.
    """
    if isinstance(value, list | tuple):  # of IN, where the order makes no difference
        return sorted(repr(_canonical(item, type_)) for item in value)
    try:
        return _stored(value, type_)
    except Exception:  # noqa: BLE001 - of a user's type; the query will say so itself
        return repr(value)


def _stored(value: Any, type_: TypeEngine[Any]) -> Any:
    process = type_.dialect_impl(_DIALECT).bind_processor(_DIALECT)
    return process(value) if process else value


def to_cursor(model: type[Any], keys: Sequence[Key], mark: str, item: Any) -> str:
    """
    The place of an object in the order of a query.

    Raises:
        InvalidDataError: A key has a value that text cannot tell.
    """
    try:
        values = [_told(getattr(item, key.name), key.type) for key in keys]
    except TypeError as error:
        problem = (
            "no cursor can tell the values of this order; use limit() and offset()"
        )
        raise refused_cursor(model, item, problem) from error
    text = json.dumps([mark, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(
    model: type[Any], keys: Sequence[Key], mark: str, cursor: str
) -> list[Any]:
    """
    The values in a cursor.

    Raises:
        InvalidDataError: It is of another query, or was changed.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, *values = json.loads(base64.b64decode(padded, b"-_", validate=True))
        if found != mark:
            raise ValueError(found)
        return [_read(value, key.type) for key, value in zip(keys, values, strict=True)]
    except Exception as error:  # a user's type may raise any
        problem = "it belongs to another query, or was changed; begin without one"
        raise refused_cursor(model, cursor, problem) from error


_KINDS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "timedelta": (
        dt.timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: dt.timedelta(*parts),
    ),
    "decimal": (Decimal, str, Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
}
"""Values that JSON does not have, each with the way there and back."""


def _told(value: Any, type_: TypeEngine[Any]) -> Any:
    if isinstance(type_, TypeDecorator):  # only it knows what its values are
        value = _stored(value, type_)
    if isinstance(value, enum.Enum):
        return {"member": value.name}
    for name, (kind, tell, _) in _KINDS.items():
        if isinstance(value, kind):
            return {name: tell(value)}
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a cursor cannot have {value!r}")


def _read(told: Any, type_: Any) -> Any:
    value = told
    if isinstance(told, dict):
        ((name, text),) = told.items()
        value = type_.enum_class[text] if name == "member" else _KINDS[name][2](text)
    if isinstance(type_, TypeDecorator):
        process = type_.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
        return process(value) if process else value
    return value
