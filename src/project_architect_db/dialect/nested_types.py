"""
DuckDB's types that are made of others: lists, arrays, structs, maps, unions.

What is inside of them is converted as it would be in a column of its own: times
come back in UTC, an `enum.Enum` goes in by its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duckdb_engine import datatypes as engine_types
from sqlalchemy import types as sqltypes
from sqlalchemy.sql.operators import OperatorClass

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

    Processor = Callable[[Any], Any]


class _Nested(sqltypes.TypeEngine[Any]):
    """
    A type whose values have parts.
    """

    operator_classes = OperatorClass.ANY

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        return self._converter(lambda part: part._cached_bind_processor(dialect))

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        return self._converter(
            lambda part: part._cached_result_processor(dialect, coltype)
        )

    if TYPE_CHECKING:

        def _converter(self, processor: Callable[[Any], Processor | None]) -> Any:
            """
            What converts a value by those of its parts; `None` if none needs it.
            """


def _each(processor: Processor | None, kind: Callable[[Any], Any]) -> Processor | None:
    if processor is None:
        return None
    return lambda value: value and kind(map(processor, value))


class List(_Nested, sqltypes.ARRAY[Any]):
    """
    ``item[]``, a Python list; stands in for SQLAlchemy's `ARRAY`.
    """

    def _converter(self, processor: Callable[[Any], Processor | None]) -> Any:
        convert = processor(self.item_type)
        for _ in range(self.dimensions or 1):
            convert = _each(convert, list)
        return convert


class FixedArray(_Nested):
    """
    ``item[size]``: an array of fixed length, a Python tuple.
    """

    __visit_name__ = "fixed_array"

    def __init__(self, item_type: Any, size: int) -> None:
        self.item_type: TypeEngine[Any] = sqltypes.to_instance(item_type)
        self.size = size

    def _converter(self, processor: Callable[[Any], Processor | None]) -> Any:
        return _each(processor(self.item_type), tuple)


def _cache_key(type_: Any) -> Any:
    """
    What stands for a type with fields, whose dict would forbid caching.
    """
    fields = (type_.fields or {}).items()
    return type(type_), *(
        (name, sqltypes.to_instance(part)._static_cache_key) for name, part in fields
    )


class Union(engine_types.Union):
    """
    ``UNION(name type, …)``: a value of one of several types.
    """

    operator_classes = OperatorClass.ANY

    _static_cache_key = property(_cache_key)


class Struct(_Nested, engine_types.Struct):
    """
    ``STRUCT(name type, …)``, a Python dict.
    """

    _static_cache_key = property(_cache_key)

    def _converter(self, processor: Callable[[Any], Processor | None]) -> Any:
        converters = {
            name: convert
            for name, part in (self.fields or {}).items()
            if (convert := processor(sqltypes.to_instance(part)))
        }
        if not converters:
            return None

        def process(value: dict[str, Any] | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {
                name: converters[name](part) if name in converters else part
                for name, part in value.items()
            }

        return process


class Map(_Nested, engine_types.Map):
    """
    ``MAP(key, value)``, a Python dict; duckdb-engine's binds ``{}`` as NULL.
    """

    def bind_processor(self, dialect: Dialect) -> Processor:
        """
        DuckDB takes a map as its lists of keys and of values.
        """
        convert = super().bind_processor(dialect)

        def process(value: dict[Any, Any] | None) -> dict[str, list[Any]] | None:
            if value is None:
                return None
            converted = convert(value) if convert else value
            return {"key": list(converted), "value": list(converted.values())}

        return process

    def _converter(self, processor: Callable[[Any], Processor | None]) -> Any:
        of_keys, of_values = (
            processor(sqltypes.to_instance(part))
            for part in (self.key_type, self.value_type)
        )
        if of_keys is of_values is None:
            return None

        def process(value: dict[Any, Any] | None) -> dict[Any, Any] | None:
            if value is None:
                return None
            return {
                of_keys(key) if of_keys else key: of_values(item) if of_values else item
                for key, item in value.items()
            }

        return process
