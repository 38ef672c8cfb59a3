"""
Python values as Arrow arrays that DuckDB takes for what single values are.

A UUID, an integer of 128 bits, a struct, a map: each has an Arrow type of its own.
Where there is none, or values do not share one, they are refused, and their rows
go to the database one by one.
"""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from duckdb_engine import datatypes as engine_types
from sqlalchemy import types as sqltypes

from project_architect_db.dialect.types import BIT, VARIANT

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from sqlalchemy.types import TypeEngine

REFUSALS = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What is raised for values that have to go one by one."""

MOST_KINDS = 20
"""In a column; for each of them Arrow gets a column, most of it empty."""


class _Aware:
    """
    The kind of a datetime with a zone.
    """


class _Map:
    """
    The kind of a dict that DuckDB takes for a map.
    """


@dataclass(frozen=True)
class _Decimals:
    """
    The kind of a `Decimal`, where its text counts.

    All of an Arrow array have the same scale: 2 would be "2.00". And DuckDB, which
    makes 0.25 a DECIMAL(2, 2), has ".25" for it, but "0.05" for a DECIMAL(3, 2).
    """

    scale: int
    has_zero: bool  # before the point


_ARROW_TYPES: dict[Any, pa.DataType] = {
    bool: pa.bool_(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    bytearray: pa.binary(),
    memoryview: pa.binary(),
    dt.datetime: pa.timestamp("us"),
    _Aware: pa.timestamp("us", "UTC"),
    dt.date: pa.date32(),
    dt.timedelta: pa.month_day_nano_interval(),
}
_KINDS = (bool, int, float, str, bytes, bytearray, memoryview, dt.date,
          dt.time, dt.timedelta, Decimal, uuid.UUID, list, tuple)  # fmt: skip

_PARTICULAR = {sqltypes.NullType, BIT, VARIANT, engine_types.Union}
"""Types that may store an integer of 64 bits in other ways than one of 32; or a null
of a type in other ways than one of none."""


def arrow_arrays(values: Sequence[Any], type_: TypeEngine[Any]) -> list[pa.Array]:
    """
    The values of a column: an array for each kind, with nulls for the other kinds.

    Arrow would, for example, cut a datetime that follows a date down to its date.

    Args:
        values: As they would be sent to the database one by one.
        type_: Of the column, as far as it is known.

    Raises:
        TypeError: Arrow might change what would be stored; or another of `REFUSALS`.
    """
    kinds = _by_kind(values, type_)
    if len(kinds) > MOST_KINDS:
        raise TypeError(len(kinds))
    return [_array(kind, of_a_kind, type_) for kind, of_a_kind in kinds.items()]


def depends(array: pa.Array, type_: TypeEngine[Any]) -> bool:
    """
    Whether it takes certain types of column to store an array as its values.

    Its integers all have 64 bits, its decimals as many digits, and its nulls are of
    its type: not so with single values.
    """
    kind = array.type
    may_differ = (
        pa.types.is_integer(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_nested(kind)
        or isinstance(kind, pa.OpaqueType)
        or 0 < array.null_count < len(array)
    )
    return may_differ and any(t._type_affinity in _PARTICULAR for t in _parts(type_))


def _parts(type_: Any) -> Iterator[TypeEngine[Any]]:
    """
    A type and all that is in it.
    """
    type_ = sqltypes.to_instance(type_)
    yield type_
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(type_, name):
            yield from _parts(getattr(type_, name))
    for part in _fields(type_).values():
        yield from _parts(part)


def _fields(type_: Any) -> dict[str, Any]:
    return getattr(type_, "fields", None) or {}


def _by_kind(values: Sequence[Any], type_: Any) -> dict[Any, Sequence[Any]]:
    """
    The values, once for each kind of them, with `None` for those of other kinds.
    """
    first = next((value for value in values if value is not None), None)
    if first is None:
        return {None: values}
    types = set(map(type, values)) - {type(None)}
    if len(types) == 1 and not isinstance(first, (dt.datetime, Decimal, dict)):
        return {_kind(first, type_): values}
    if types == {dt.datetime}:  # by far the commonest of these: without a call for each
        naive = {value.tzinfo is None for value in values if value is not None}
        if len(naive) == 1:
            return {_kind(first, type_): values}
    kinds = [None if value is None else _kind(value, type_) for value in values]
    found = [kind for kind in dict.fromkeys(kinds) if kind is not None]
    if len(found) == 1:
        return {found[0]: values}
    return {
        kind: [v if k == kind else None for v, k in zip(values, kinds, strict=True)]
        for kind in found
    }


def _kind(value: Any, type_: Any) -> Hashable:
    """
    What values have to have in common to share an array.
    """
    if isinstance(value, dict):
        return _kind_of_dict(value)
    if isinstance(value, dt.datetime):
        return dt.datetime if value.tzinfo is None else _Aware
    if isinstance(value, Decimal) and type_._type_affinity is not sqltypes.Numeric:
        _, digits, exponent = value.as_tuple()
        scale = max(-int(exponent), 0)
        return _Decimals(scale, len(digits) != scale)
    for kind in _KINDS:
        if isinstance(value, kind):
            return kind
    raise TypeError(type(value))


def _kind_of_dict(value: dict[Any, Any]) -> Hashable:
    names = tuple(value)
    if not names:
        return _Map
    if value.keys() == {"key", "value"}:
        parts = value["key"], value["value"]
        if None in parts:
            raise TypeError(None)  # DuckDB takes it for a map that is NULL
        if all(isinstance(part, (list, tuple)) for part in parts):
            return _Map if len(parts[0]) == len(parts[1]) else names
    if not all(isinstance(name, str) and name and "\0" not in name for name in names):
        raise TypeError(names)  # no names for Arrow
    return names


def _array(kind: Any, values: Sequence[Any], type_: Any) -> pa.Array:
    if kind in (list, tuple, _Map) or isinstance(kind, tuple):
        return _nested(kind, values, sqltypes.to_instance(type_))
    if kind is None:
        return pa.nulls(len(values))
    if kind is int:
        return _integers(values)
    if kind is uuid.UUID:
        return pa.array([v and v.bytes for v in values], pa.uuid())
    if kind is dt.time and any(v.tzinfo for v in values if v is not None):
        raise TypeError(kind)  # Arrow's times have no zone
    array = pa.array(values, _ARROW_TYPES.get(kind))
    if pa.types.is_decimal256(array.type):
        raise TypeError(array.type)  # more digits than DuckDB has
    if isinstance(kind, _Decimals) and kind.has_zero:
        digits = max(array.type.precision, kind.scale + 1)
        return array.cast(pa.decimal128(digits, kind.scale))
    return array


def _integers(values: Sequence[int | None]) -> pa.Array:
    for type_ in (pa.int64(), pa.uint64()):
        with suppress(OverflowError):
            return pa.array(values, type_)
    is_signed = all(value is None or value < 2**127 for value in values)
    huge = pa.opaque(pa.binary(16), "hugeint" if is_signed else "uhugeint", "DuckDB")
    parts = [v if v is None else v.to_bytes(16, "little", signed=is_signed)
             for v in values]  # fmt: skip
    return pa.ExtensionArray.from_storage(huge, pa.array(parts, huge.storage_type))


def _nested(kind: Any, values: Sequence[Any], type_: Any) -> pa.Array:
    nulls = pa.array([value is None for value in values])
    if isinstance(kind, tuple):
        fields = [
            _inner([v and v[name] for v in values], _fields(type_).get(name))
            for name in kind
        ]
        return pa.StructArray.from_arrays(fields, kind, mask=nulls)
    if kind is not _Map:
        sizes = [len(v) if v else 0 for v in values]
        items = _inner(_flat(values), getattr(type_, "item_type", type_))
        return pa.ListArray.from_arrays(_offsets(sizes), items, mask=nulls)
    lists = {name: [v and v[name] for v in values] for name in ("key", "value")}
    sizes = [len(v) if v else 0 for v in lists["key"]]
    keys, items = (
        _inner(_flat(lists[name]), getattr(type_, f"{name}_type", None))
        for name in lists
    )
    return pa.MapArray.from_arrays(_offsets(sizes), keys, items, mask=nulls)


def _flat(lists: Sequence[Any]) -> list[Any]:
    return [item for part in lists if part for item in part]


def _offsets(sizes: list[int]) -> pa.Array:
    return pa.array(accumulate(sizes, initial=0), pa.int32())


def _inner(values: Sequence[Any], type_: Any) -> pa.Array:
    arrays = arrow_arrays(values, sqltypes.to_instance(type_))
    if len(arrays) > 1:
        raise TypeError(len(arrays))
    return arrays[0]
