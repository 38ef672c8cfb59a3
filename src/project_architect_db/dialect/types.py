"""
DuckDB's types for SQLAlchemy: our own, and those of duckdb-engine.
"""

from __future__ import annotations

import datetime as dt
import json
import re
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
from sqlalchemy import cast, func
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.sql.operators import OperatorClass

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

    It goes in as JSON, since DuckDB would turn ``[1, "a"]`` into ``["1", "a"]``.
    """

    __visit_name__ = "VARIANT"
    operator_classes = OperatorClass.ANY

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        """
        JSON text; `None` is NULL.

        An integer that DuckDB would read from it as a float is refused.
        """
        serialize: Any = dialect._json_serializer

        def process(value: Any) -> str | None:
            if value is None:
                return None
            text: str = serialize(value)
            if _LONG_NUMBER.search(text):  # or digits in a string: so, look closer
                json.loads(text, parse_int=_integer_of_64_bits)
            return text

        return process

    def bind_expression(self, bindvalue: Any) -> Any:
        """
        The text as JSON, and that as a VARIANT.
        """
        return cast(cast(bindvalue, sqltypes.JSON), VARIANT)


_LONG_NUMBER = re.compile(r"\d{19}")


def _integer_of_64_bits(digits: str) -> None:
    if not -(2**63) <= int(digits) < 2**64:
        raise ValueError(
            f"{digits}: a VARIANT keeps integers of up to 64 bits; "
            "put a larger one in as text, or in a column of its own, such as BIGNUM"
        )


class BIT(sqltypes.TypeEngine[str]):
    """
    A string of bits, such as ``'0101'``.
    """

    __visit_name__ = "BIT"
    operator_classes = (
        OperatorClass.BASE | OperatorClass.COMPARISON | OperatorClass.BITWISE
    )


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


DECIMALS = 10
"""
How many decimals a `Numeric` has that declares neither precision nor scale.

PostgreSQL's has any number; DuckDB's DECIMAL has 38 digits at most, and a fixed
scale, by default a mere 3. With 10 there are 28 digits before the point, and two
such columns can be multiplied: the product has 20 decimals, and still 18 digits
before the point. It is SQLAlchemy's default as well, where decimals come from floats.
"""


def _within_decimals(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        _, digits, exponent = value.as_tuple()
        excess = -DECIMALS - exponent  # type: ignore[operator]  # it is finite
        if excess > 0 and any(digits[-excess:]):
            raise ValueError(
                f"{value} has more than the {DECIMALS} decimals of a Numeric without "
                "a scale; round it, or declare the scale, as in Numeric(38, 20)"
            )
    return value


class _Numeric(sqltypes.Numeric):  # type: ignore[type-arg]
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        # Who declares a scale gets values rounded to it, as in PostgreSQL; who does
        # not, expects to keep every digit. Floats are approximations already.
        undeclared = self.precision is None and self.scale is None
        return _within_decimals if undeclared else None

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


class _JSON(sqltypes.JSON):
    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> Callable[[Any], Any]:
        decode: Any = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            # a path with wildcards, such as `$.list[*]`, finds a list of JSON texts
            return [*map(decode, value)] if isinstance(value, list) else decode(value)

        return process


class TextAsJson(sqltypes.String):
    """
    A text that becomes the JSON string of it, as DuckDB spells that.
    """

    def bind_expression(self, bindvalue: Any) -> Any:
        """
        ``to_json``; Python escapes control characters in lower case.
        """
        return func.to_json(bindvalue)


def _compact_json() -> Callable[[Any], str]:
    """
    JSON text without spaces, and with letters as they are.

    `json.JSONEncoder` makes its C encoder anew for each value, which takes twice as
    long as to encode one; so it is made once here. Where there is none (PyPy), its
    `encode` does the same.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    quoted = json.encoder.encode_basestring
    chunks = make(None, encoder.default, quoted, None, ":", ",", False, False, True)
    return lambda value: "".join(chunks(value, 0))


compact_json = _compact_json()


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
    sqltypes.JSON: _JSON,
    sqltypes.JSON.JSONIndexType: _JsonIndexType,
    sqltypes.JSON.JSONIntIndexType: _JsonIntIndexType,
    sqltypes.JSON.JSONStrIndexType: _JsonStrIndexType,
    sqltypes.JSON.JSONPathType: _JsonPathType,
    sqltypes.Numeric: _Numeric,
    sqltypes.Float: _Float,
}
"""What stands in for SQLAlchemy's types on this dialect (its ``colspecs``)."""
