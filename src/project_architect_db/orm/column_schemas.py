"""
What a column takes, in the words of Pydantic.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema
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
from sqlalchemy.types import TypeDecorator

from project_architect_db.orm.query_values import in_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pydantic_core import CoreSchema
    from sqlalchemy import Column, Dialect
    from sqlalchemy.types import TypeEngine


def rows_validator(
    columns: Mapping[str, Column[Any]], *, optional: Collection[str],
    json: Mapping[str, CoreSchema],
) -> SchemaValidator:  # fmt: skip
    """
    The validator of a list of dicts.

    Args:
        columns: What a dict may have, by name.
        optional: What it need not have.
        json: What JSON columns take.
    """
    fields = {
        name: core_schema.typed_dict_field(
            _column_schema(column, json.get(name)), required=name not in optional
        )
        for name, column in columns.items()
        if column.computed is None
    }
    row = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    return SchemaValidator(core_schema.list_schema(row))


def _column_schema(column: Column[Any], json: CoreSchema | None) -> CoreSchema:
    type_ = column.type
    schema = json or _type_schema(type_)
    if column.nullable or (json and type_.should_evaluate_none):  # then it has a null
        return core_schema.nullable_schema(schema)
    if schema["type"] in ("any", "nullable") and not isinstance(type_, TypeDecorator):
        return core_schema.no_info_after_validator_function(_not_null, schema)
    return schema


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("None is not allowed here")
    return value


_BITS: dict[type[TypeEngine[Any]], int] = {
    SmallInteger: 16, SMALLINT: 16, Integer: 32, INTEGER: 32,
    BigInteger: 64, BIGINT: 64,
}  # fmt: skip


def _type_schema(type_: TypeEngine[Any]) -> CoreSchema:  # noqa: C901, PLR0911
    """
    What a column of this type takes; anything, where only its own code knows.

    Text that says a number or a time will do, as in JSON or CSV. What would have to be
    guessed will not: numbers as times, True as 1, "yes" as True, bytes as text.
    """
    if isinstance(type_, Enum):
        return _enum_schema(type_)
    if isinstance(type_, String):
        return core_schema.str_schema(max_length=type_.length, strict=True)
    if (bits := _BITS.get(type(type_))) is not None:
        return _integer_schema(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))
    if isinstance(type_, DateTime):
        return _TIMES[bool(type_.timezone)]
    if isinstance(type_, Numeric | Float):
        return _number_schema(type_)
    if isinstance(type_, Uuid) and not type_.as_uuid:
        return core_schema.str_schema(strict=True)
    if isinstance(type_, ARRAY):
        schema = _type_schema(type_.item_type)
        for _ in range(type_.dimensions or 1):
            schema = core_schema.list_schema(core_schema.nullable_schema(schema))
        return schema
    for kind, schema in _PLAIN:
        if isinstance(type_, kind):
            return schema
    return core_schema.any_schema()


def _first_of(*choices: CoreSchema, problem: str | None = None) -> CoreSchema:
    """
    The first that fits; if none does, there is one problem, not one for each of them.

    Without a text for it, it is what the last one says (see `problem_with`).
    """
    return core_schema.union_schema(
        [*choices], mode="left_to_right",
        custom_error_type="no_choice" if problem else LAST_CHOICE,
        custom_error_message=problem or "Input does not fit",
    )  # fmt: skip


LAST_CHOICE = "last_choice"
"""The type of problems that `problem_with` can tell."""


def problem_with(column: Column[Any], value: Any) -> str:
    """
    What is wrong with a value that none of the choices of its type took.
    """
    type_ = column.type
    schema: Any = _type_schema(getattr(type_, "item_type", type_))
    try:
        SchemaValidator(schema["choices"][-1]).validate_python(value)
    except ValidationError as error:
        return str(error.errors(include_url=False)[0]["msg"])
    return "Input does not fit"  # pragma: no cover - the last one refused it before


def _strict_or(strict: CoreSchema, other: CoreSchema, refuse: type | Any) -> CoreSchema:
    """
    What is of the type as it is, and what can be converted, but for some types.

    The first needs no code of Python, so that many values take no longer.
    """

    def check(value: Any) -> Any:
        if isinstance(value, refuse):
            raise PydanticCustomError(
                "wrong_type", "{kind} is not what this column takes",
                {"kind": type(value).__name__},
            )  # fmt: skip
        return value

    convert = core_schema.no_info_before_validator_function(check, other)
    return _first_of(strict, convert)


_NO_NUMBER = (bool, bytes, bytearray)


def _integer_schema(**limits: Any) -> CoreSchema:
    return _strict_or(
        core_schema.int_schema(strict=True, **limits),
        core_schema.int_schema(**limits),
        _NO_NUMBER,
    )


_FLOAT = _strict_or(
    core_schema.float_schema(strict=True), core_schema.float_schema(), _NO_NUMBER
)
_NO_TIME = (bool, int, float, Decimal, bytes, bytearray)
_NUMBER_IN_TEXT = re.compile(r"\s*[-+]?[\d.]+\s*")


def _time_schema(strict: CoreSchema, other: CoreSchema) -> CoreSchema:
    """
    Times and dates; numbers, which Pydantic counts from 1970, are none.
    """

    def check(value: Any) -> Any:
        if isinstance(value, str) and _NUMBER_IN_TEXT.fullmatch(value):
            raise PydanticCustomError("wrong_type", "a number is no valid date or time")
        return value

    return _strict_or(
        strict, core_schema.no_info_before_validator_function(check, other), _NO_TIME
    )


def _flag(value: Any) -> bool:
    """
    0 and 1, or "true" and "false", which is how other databases and CSV write them.
    """
    text = str(value).lower()
    if isinstance(value, int | str) and text in _FLAGS:
        return _FLAGS[text]
    raise PydanticCustomError("wrong_type", "Input should be a valid boolean")


_FLAGS = {"0": False, "1": True, "false": False, "true": True}

_PLAIN: tuple[tuple[type[TypeEngine[Any]], CoreSchema], ...] = (
    (Integer, _integer_schema()),
    (Boolean, _first_of(
        core_schema.bool_schema(strict=True),
        core_schema.no_info_plain_validator_function(_flag),
    )),
    (sqltypes.Date, _time_schema(
        core_schema.date_schema(strict=True), core_schema.date_schema()
    )),
    (sqltypes.Time, _time_schema(
        core_schema.time_schema(strict=True), core_schema.time_schema()
    )),
    (sqltypes.Interval, _strict_or(
        core_schema.timedelta_schema(strict=True), core_schema.timedelta_schema(), bool
    )),
    (LargeBinary, core_schema.bytes_schema()),
    (Uuid, core_schema.uuid_schema()),
)  # fmt: skip


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


def _number_schema(type_: Any) -> CoreSchema:
    """
    Numbers, rounded to the scale of the column as the database does it.

    So the object, the database and a filter by the same number agree.
    """
    is_exact = type_.asdecimal
    schema = TypeAdapter(Decimal).core_schema if is_exact else _FLOAT
    if type_.precision is None or isinstance(type_, Float):
        return schema
    scale = type_.scale or 0
    limit = Decimal(10) ** (type_.precision - scale)
    step, context = Decimal(1).scaleb(-scale), Context(prec=type_.precision + 1)

    def rounded(value: Any) -> Any:
        number = Decimal(repr(value)) if isinstance(value, float) else value
        number = number.quantize(step, ROUND_HALF_UP, context)
        if abs(number) >= limit:
            raise PydanticCustomError(
                "too_large", "rounded to {scale} places, it is not less than {limit}",
                {"scale": scale, "limit": str(limit)},
            )  # fmt: skip
        return number if is_exact else float(number)

    limited = (
        core_schema.decimal_schema(gt=-limit, lt=limit)
        if is_exact
        else core_schema.float_schema(gt=float(-limit), lt=float(limit))
    )
    return core_schema.no_info_after_validator_function(rounded, limited)


# --- times --------------------------------------------------------------------------

_A_DAY = dt.timedelta(days=1)


def _aware(value: dt.datetime) -> dt.datetime:
    """
    A time without a zone is in UTC, as all times of models are.
    """
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    in_utc(value)  # or it is refused
    return value


def _naive(value: dt.datetime) -> dt.datetime:
    """
    A column without a zone has UTC.
    """
    return in_utc(value).replace(tzinfo=None)


def _times(
    fits: Literal["aware", "naive"], convert: Callable[[dt.datetime], dt.datetime]
) -> CoreSchema:
    """
    Times with or without a zone; the others are converted.

    Those on the first and the last day that Python has may be outside of them in UTC.
    """
    zone = dt.UTC if fits == "aware" else None
    return _time_schema(
        core_schema.datetime_schema(
            tz_constraint=fits, strict=True,
            gt=dt.datetime.min.replace(tzinfo=zone) + _A_DAY,
            lt=dt.datetime.max.replace(tzinfo=zone) - _A_DAY,
        ),
        core_schema.no_info_after_validator_function(
            convert, core_schema.datetime_schema()
        ),
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
                bound = value if process is None else process(value)
                if isinstance(bound, str):
                    bound.encode()  # what UTF-8 cannot write, no column has
            except Exception as error:  # noqa: BLE001 - a user's type may raise any
                return index, name, error
    return None
