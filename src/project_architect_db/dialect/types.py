"""
DuckDB's types for SQLAlchemy: our own, and those of duckdb-engine.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from duckdb_engine.datatypes import (
    HugeInteger,
    TinyInteger,
    UBigInteger,
    UHugeInteger,
    UInteger,
    USmallInteger,
    UTinyInteger,
)
from sqlalchemy import cast
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import INTERVAL

from project_architect_db.dialect.nested_types import (
    FixedArray,
    List,
    Map,
    Struct,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

__all__ = ["BIGNUM", "BIT", "ENUM", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_S",
           "TIME_NS", "VARIANT", "FixedArray", "HugeInteger", "Map", "Struct",
           "TinyInteger", "UBigInteger", "UHugeInteger", "UInteger", "USmallInteger",
           "UTinyInteger", "Union"]  # fmt: skip


class ENUM(sqltypes.Enum):
    """
    DuckDB's own ``ENUM('a', 'b')``; SQLAlchemy's `Enum` stays a VARCHAR.

    A VARCHAR takes new members without a migration; an ENUM stores one byte.
    """

    __visit_name__ = "ENUM"


class VARIANT(sqltypes.TypeEngine[Any]):
    """
    Any JSON-like value, stored in columns of its own.

    It goes in as JSON, since DuckDB would turn ``[1, "a"]`` into ``["1", "a"]``;
    so an integer of more than 64 bits is rounded to a float.
    """

    __visit_name__ = "VARIANT"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """
        JSON text; `None` is NULL.
        """
        serialize: Any = dialect._json_serializer
        return lambda value: None if value is None else serialize(value)

    def bind_expression(self, bindvalue: Any) -> Any:
        """
        The text as JSON, and that as a VARIANT.
        """
        return cast(cast(bindvalue, sqltypes.JSON), VARIANT)


class BIT(sqltypes.TypeEngine[str]):
    """
    A string of bits, such as ``'0101'``.
    """

    __visit_name__ = "BIT"


class BIGNUM(sqltypes.Integer):
    """
    An integer of any size.
    """

    __visit_name__ = "BIGNUM"

    def bind_processor(self, dialect: Dialect) -> Callable[[int | None], str | None]:
        """
        DuckDB takes an integer of more than 128 bits as text only.
        """
        return lambda value: None if value is None else str(value)

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[str | int | None], int | None]:
        """
        And gives it back as text.
        """
        return lambda value: None if value is None else int(value)


class TIMESTAMP_S(sqltypes.DateTime):
    """
    A time stored in whole seconds.
    """

    __visit_name__ = "TIMESTAMP_S"


class TIMESTAMP_MS(sqltypes.DateTime):
    """
    A time stored in milliseconds.
    """

    __visit_name__ = "TIMESTAMP_MS"


class TIMESTAMP_NS(sqltypes.DateTime):
    """
    A time stored in nanoseconds; Python's datetime reads the microseconds.
    """

    __visit_name__ = "TIMESTAMP_NS"


class TIME_NS(sqltypes.Time):
    """
    A time of day in nanoseconds; Python's time reads the microseconds.
    """

    __visit_name__ = "TIME_NS"


class _DateTime(sqltypes.DateTime):
    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], Any] | None:
        if not self.timezone:
            return None

        def process(value: Any) -> Any:
            # DuckDB answers in the zone of its session, as pytz has it; outside of
            # years 1–9999 in text.
            if value is None or isinstance(value, str):
                return value
            if value.tzinfo is None:  # infinity
                return value.replace(tzinfo=dt.UTC)
            return value.astimezone(dt.UTC)

        return process


class _Interval(INTERVAL):
    """
    A timedelta; its literals are exact to the microsecond.
    """

    @classmethod
    def adapt_emulated_to_native(cls, interval: Any, **kw: Any) -> _Interval:  # type: ignore[override]
        """
        What stands in for SQLAlchemy's `Interval`.
        """
        return cls(precision=interval.second_precision)

    def literal_processor(self, dialect: Dialect) -> Callable[[dt.timedelta], str]:
        microsecond = dt.timedelta(microseconds=1)
        return lambda value: f"to_microseconds({value // microsecond})"


class _Numeric(sqltypes.Numeric):  # type: ignore[type-arg]
    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], Any] | None:
        if self.asdecimal:
            # a DOUBLE, as divisions give, goes through its shortest text
            return lambda v: Decimal(repr(v)) if isinstance(v, float) else v
        return lambda v: float(v) if isinstance(v, Decimal) else v


class _Float(sqltypes.Float):  # type: ignore[type-arg]
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        # DuckDB rounds a DECIMAL by its scale, Python to the closest float
        return lambda v: float(v) if isinstance(v, Decimal) else v

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], Any] | None:
        if self.asdecimal:
            digits = self._effective_decimal_return_scale
            return lambda v: None if v is None else Decimal(f"{v:.{digits}f}")
        return lambda v: float(v) if isinstance(v, Decimal) else v


compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""The JSON text that is stored: without spaces, and with letters as they are."""


def json_path(keys: Sequence[str | int]) -> str:
    """
    DuckDB's spelling of a path into a JSON value.

    A JSON pointer (RFC 6901) takes every key there is literally; only a negative
    index needs the ``$`` form.

    Raises:
        ValueError: The ``$`` form cannot spell a key.
    """
    if any(isinstance(key, int) and key < 0 for key in keys):
        return "$" + "".join(map(_dollar_step, keys))
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def _dollar_step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if key in ("", "*"):
        raise ValueError(
            f"DuckDB cannot find the key {key!r} and a negative index by one path; "
            "use one pair of brackets for each"
        )
    quoted = key.replace("\\", r"\\").replace('"', r"\"")
    return f'."{quoted}"'


def _path_text(value: Any) -> str:
    if isinstance(value, str) and (value.startswith(("$.", "$[")) or value == "$"):
        return value
    if isinstance(value, str | int):
        return json_path((value,))
    return json_path(value)


class _JsonPath:
    """
    What every kind of JSON index becomes: one path in text.
    """

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _path_text

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return lambda value: "'" + _path_text(value).replace("'", "''") + "'"


class _JsonIndexType(_JsonPath, sqltypes.JSON.JSONIndexType):
    pass


class _JsonIntIndexType(_JsonPath, sqltypes.JSON.JSONIntIndexType):
    pass


class _JsonStrIndexType(_JsonPath, sqltypes.JSON.JSONStrIndexType):
    pass


class _JsonPathType(_JsonPath, sqltypes.JSON.JSONPathType):
    pass


COLUMN_TYPES: dict[type[TypeEngine[Any]], type[TypeEngine[Any]]] = {
    sqltypes.ARRAY: List,
    sqltypes.DateTime: _DateTime,
    sqltypes.Interval: _Interval,
    INTERVAL: _Interval,
    sqltypes.JSON.JSONIndexType: _JsonIndexType,
    sqltypes.JSON.JSONIntIndexType: _JsonIntIndexType,
    sqltypes.JSON.JSONStrIndexType: _JsonStrIndexType,
    sqltypes.JSON.JSONPathType: _JsonPathType,
    sqltypes.Numeric: _Numeric,
    sqltypes.Float: _Float,
}
"""What stands in for SQLAlchemy's types on this dialect (its ``colspecs``)."""
