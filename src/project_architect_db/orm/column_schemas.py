"""
What a column takes, in the words of Pydantic.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator, core_schema
from sqlalchemy import (
    ARRAY,
    BIGINT,
    INTEGER,
    SMALLINT,
    BigInteger,
    Boolean,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Uuid,
)
from sqlalchemy import types as sqltypes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pydantic_core import CoreSchema
    from sqlalchemy import Column, Dialect
    from sqlalchemy.types import TypeEngine


def rows_validator(
    columns: Mapping[str, Column[Any]], *, optional: Collection[str]
) -> SchemaValidator:
    """
    The validator of a list of dicts.

    Args:
        columns: What a dict may have, by name.
        optional: What it need not have.
    """
    fields = {
        name: core_schema.typed_dict_field(
            _column_schema(column), required=name not in optional
        )
        for name, column in columns.items()
        if column.computed is None
    }
    row = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    return SchemaValidator(core_schema.list_schema(row))


def _column_schema(column: Column[Any]) -> CoreSchema:
    schema = _type_schema(column.type)
    return core_schema.nullable_schema(schema) if column.nullable else schema


_BITS: dict[type[TypeEngine[Any]], int] = {
    SmallInteger: 16, SMALLINT: 16, Integer: 32, INTEGER: 32,
    BigInteger: 64, BIGINT: 64,
}  # fmt: skip


def _type_schema(type_: TypeEngine[Any]) -> CoreSchema:  # noqa: C901, PLR0911
    """
    What a column of this type takes; anything, where only its own code knows.
    """
    if isinstance(type_, Enum):
        return _enum_schema(type_)
    if isinstance(type_, String):
        return core_schema.str_schema(max_length=type_.length)
    if (bits := _BITS.get(type(type_))) is not None:
        return core_schema.int_schema(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))
    if isinstance(type_, DateTime):
        return _TIMES[bool(type_.timezone)]
    if isinstance(type_, Numeric | Float):
        return _decimal_schema(type_) if type_.asdecimal else core_schema.float_schema()
    if isinstance(type_, Uuid) and not type_.as_uuid:
        return core_schema.str_schema()
    if isinstance(type_, ARRAY):
        schema = _type_schema(type_.item_type)
        for _ in range(type_.dimensions or 1):
            schema = core_schema.list_schema(core_schema.nullable_schema(schema))
        return schema
    for kind, schema in _PLAIN:
        if isinstance(type_, kind):
            return schema
    return core_schema.any_schema()


_PLAIN: tuple[tuple[type[TypeEngine[Any]], CoreSchema], ...] = (
    (Integer, core_schema.int_schema()),
    (Boolean, core_schema.bool_schema()),
    (sqltypes.Date, core_schema.date_schema()),
    (sqltypes.Time, core_schema.time_schema()),
    (sqltypes.Interval, core_schema.timedelta_schema()),
    (LargeBinary, core_schema.bytes_schema()),
    (Uuid, core_schema.uuid_schema()),
)


def _enum_schema(type_: Enum) -> CoreSchema:
    """
    Members, or their values or names in text.
    """
    if type_.enum_class is None:
        return core_schema.literal_schema([*type_.enums])
    member = TypeAdapter(type_.enum_class).core_schema
    names = dict(type_.enum_class.__members__)
    return _first_of(
        member,
        core_schema.no_info_before_validator_function(
            lambda value: names.get(value) if isinstance(value, str) else None, member
        ),
        problem=f"Input should be one of {', '.join(map(repr, names))}",
    )


def _decimal_schema(type_: Any) -> CoreSchema:
    """
    Decimals with as many digits before the point as the column has.
    """
    schema = TypeAdapter(Decimal).core_schema
    if type_.precision is None or isinstance(type_, Float):
        return schema
    limit = Decimal(10) ** (type_.precision - (type_.scale or 0))
    return core_schema.decimal_schema(gt=-limit, lt=limit)


def _aware(value: dt.datetime) -> dt.datetime:
    """
    A time without a zone is in UTC, as all times of models are.
    """
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


def _naive(value: dt.datetime) -> dt.datetime:
    """
    A column without a zone has UTC.
    """
    try:
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _times(fits: Literal["aware", "naive"], otherwise: Any) -> CoreSchema:
    """
    Times with or without a zone; the others are converted.
    """
    return _first_of(
        core_schema.datetime_schema(tz_constraint=fits),
        core_schema.no_info_after_validator_function(
            otherwise, core_schema.datetime_schema()
        ),
        problem="Input should be a valid date and time",
    )


def _first_of(*choices: CoreSchema, problem: str) -> CoreSchema:
    """
    The first that fits; if none does, there is one problem, not one for each of them.
    """
    return core_schema.union_schema(
        [*choices], mode="left_to_right",
        custom_error_type="no_choice", custom_error_message=problem,
    )  # fmt: skip


_TIMES = {True: _times("aware", _aware), False: _times("naive", _naive)}


def unbindable(
    columns: Mapping[str, Column[Any]], rows: Iterable[Mapping[str, Any]],
    dialect: Dialect,
) -> tuple[int, str, Exception] | None:  # fmt: skip
    """
    The row and field with a value that the code of its type refuses, and its error.
    """
    processors = {
        name: column.type.dialect_impl(dialect).bind_processor(dialect)
        for name, column in columns.items()
    }
    for index, row in enumerate(rows):
        for name, value in row.items():
            process = processors[name]
            try:
                if process is not None:
                    process(value)
            except Exception as error:  # noqa: BLE001 - a user's type may raise any
                return index, name, error
    return None
