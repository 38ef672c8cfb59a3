"""
The fields of a model, and whether data fits them.

Each model has a validator made of its columns, so that what a database would refuse
is refused before anything is written, by the name of the field. A repository that has
a Create or an Update schema is checked by that instead.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast
from weakref import WeakKeyDictionary

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import SchemaValidator, core_schema
from sqlalchemy import (
    ARRAY,
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
    inspect,
)
from sqlalchemy import types as sqltypes

from project_architect_db.dialect.references import SOFTLY_DELETED
from project_architect_db.errors import InvalidDataError, UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import CoreSchema
    from sqlalchemy import Column, ColumnElement, Table
    from sqlalchemy.orm import Mapper
    from sqlalchemy.types import TypeEngine

Data = Mapping[str, Any] | BaseModel
"""What repositories take: a dict, or a Pydantic model."""


class Fields:
    """
    What can be written into a model.

    Attributes:
        model: The model.
        table: Its table.
        columns: Its columns, by the names of their attributes.
        key: The attributes of its primary key.
        version: The attribute that counts versions, if there is one.
    """

    def __init__(self, model: type[Any]) -> None:
        mapper: Mapper[Any] = inspect(model)
        self.model = model
        self.columns: dict[str, Column[Any]] = {
            attribute.key: cast("Column[Any]", attribute.columns[0])
            for attribute in mapper.column_attrs
        }
        keys: dict[Any, str] = {column: name for name, column in self.columns.items()}
        self.key = tuple(keys[column] for column in mapper.primary_key)
        version = mapper.version_id_col
        self.version = None if version is None else keys[version]
        self.table = cast("Table", mapper.local_table)
        self._defaults: list[tuple[str, Any]] = [
            (name, cast("Any", column.default).arg)
            for name, column in self.columns.items()
            if column.default is not None and _is_of_python(column.default)
        ]
        self._create = _validator(self.columns, partial=False)
        self._update = _validator(self.columns, partial=True)

    def for_create(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Any]:
        """
        The rows with the values they are stored with; defaults are not among them.

        Args:
            rows: The data.
            first: The number of the first row in errors; `None` for a single one.

        Raises:
            UnknownFieldError: The model has no such field.
            InvalidDataError: A value is missing, or does not fit its field.
        """
        return self._checked(self._create, _as_dicts(rows), first)

    def for_update(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Any]:
        """
        The rows with the values to change; what is absent stays as it is.

        Raises:
            UnknownFieldError: The model has no such field.
            InvalidDataError: A value does not fit its field.
        """
        return self._checked(self._update, _as_dicts(rows, only_set=True), first)

    def _checked(
        self, validator: SchemaValidator, rows: list[dict[str, Any]], first: int | None
    ) -> list[Any]:
        try:
            return validator.validate_python(rows)  # type: ignore[no-any-return]
        except ValidationError as error:
            self._refuse(error, first)

    def _refuse(self, error: ValidationError, first: int | None) -> NoReturn:
        problem = error.errors(include_url=False)[0]
        index, *path = problem["loc"]
        name, model = ".".join(map(str, path)), self.model.__name__
        if problem["type"] == "extra_forbidden":
            self.refuse_unknown(name, cause=error)
        more = error.error_count() - 1
        raise InvalidDataError(
            problem["msg"] + (f" (and {more} more problems)" if more else ""),
            model=model,
            field=name,
            value=problem["input"],
            index=None if first is None else first + int(index),
        ) from error

    def refuse_unknown(self, name: str, *, cause: Exception | None = None) -> NoReturn:
        """
        Raise because the model has no such field, and say which one may be meant.
        """
        close = difflib.get_close_matches(name, self.columns, n=1)
        raise UnknownFieldError(
            model=self.model.__name__,
            field=name,
            suggestion=close[0] if close else None,
            known=tuple(self.columns),
        ) from cause

    def key_values(self, id: Any) -> tuple[Any, ...]:
        """
        The values of the primary key that an id stands for.

        Raises:
            InvalidDataError: It is of the wrong type, or of too few parts.
        """
        parts = id if isinstance(id, tuple) else (id,)
        if len(parts) != len(self.key):
            raise InvalidDataError(
                f"expected {len(self.key)} values", model=self.model.__name__,
                field=", ".join(self.key), value=id,
            )  # fmt: skip
        row = dict(zip(self.key, parts, strict=True))
        (checked,) = self.for_update([row], first=None)
        return tuple([checked[name] for name in self.key])

    # --- rows that were checked ---------------------------------------------------

    def require_keys(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """
        Raise unless each row says which one it is.
        """
        for index, row in enumerate(rows):
            for name in self.key:
                if row.get(name) is None:
                    raise InvalidDataError(
                        "which row is meant? its key is missing",
                        model=self.model.__name__, field=name, value=None, index=index,
                    )  # fmt: skip

    def add_defaults(self, row: dict[str, Any]) -> None:
        """
        Add the defaults that Python makes for fields that are absent.
        """
        for name, default in self._defaults:
            if name not in row:
                row[name] = default(_Context(row)) if callable(default) else default

    def set_by_updates(self) -> dict[str, Any]:
        """
        What an UPDATE sets without being told, by the keys of columns.
        """
        values: dict[str, Any] = {}
        for column in self.columns.values():
            if column.onupdate is not None and _is_of_python(column.onupdate):
                value = cast("Any", column.onupdate).arg
                values[column.key] = value(_Context({})) if callable(value) else value
        return values

    def is_made_by_database(self, name: str) -> bool:
        """
        Whether the database has a value for a field that is absent.
        """
        column = self.columns[name]
        default = column.default
        return bool(
            column.server_default is not None
            or column.computed is not None
            or (default is not None and not _is_of_python(default))
        )

    def by_column(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        The rows by the keys of columns, where attributes are called otherwise.
        """
        keys = {name: column.key for name, column in self.columns.items()}
        if all(name == key for name, key in keys.items()):
            return rows
        return [{keys[name]: value for name, value in row.items()} for row in rows]

    def alive(self) -> list[ColumnElement[bool]]:
        """
        The condition that leaves out rows that are softly deleted.
        """
        columns = self.columns.values()
        return [column.is_(None) for column in columns if SOFTLY_DELETED in column.info]


class _Context:
    """
    What a default with a parameter is given.
    """

    def __init__(self, row: dict[str, Any]) -> None:
        self.current_parameters = row

    def get_current_parameters(self) -> dict[str, Any]:
        return self.current_parameters


_fields: WeakKeyDictionary[type[Any], Fields] = WeakKeyDictionary()


def fields_of(model: type[Any]) -> Fields:
    """
    The fields of a model, made once.
    """
    if model not in _fields:
        _fields[model] = Fields(model)
    return _fields[model]


def _is_of_python(default: Any) -> bool:
    return bool(default.is_scalar or default.is_callable)


def _as_dicts(rows: Sequence[Data], *, only_set: bool = False) -> list[Any]:
    if set(map(type, rows)) <= {dict}:
        return list(rows)
    return [
        row.model_dump(exclude_unset=only_set) if isinstance(row, BaseModel) else row
        for row in rows
    ]


def _validator(columns: Mapping[str, Column[Any]], *, partial: bool) -> SchemaValidator:
    fields = {
        name: core_schema.typed_dict_field(
            _column_schema(column), required=not (partial or _may_be_absent(column))
        )
        for name, column in columns.items()
        if column.computed is None
    }
    row = core_schema.typed_dict_schema(fields, extra_behavior="forbid")
    return SchemaValidator(core_schema.list_schema(row))


def _may_be_absent(column: Column[Any]) -> bool:
    return bool(
        column.nullable
        or column.default is not None
        or column.server_default is not None
        or column is column.table.autoincrement_column
    )


def _column_schema(column: Column[Any]) -> CoreSchema:
    schema = _type_schema(column.type)
    return core_schema.nullable_schema(schema) if column.nullable else schema


_INTEGERS: tuple[tuple[type[TypeEngine[Any]], int], ...] = (
    (SmallInteger, 16),
    (BigInteger, 64),
    (Integer, 32),
)


def _type_schema(type_: TypeEngine[Any]) -> CoreSchema:  # noqa: PLR0911
    """
    What a column of this type takes; anything, where only its own code knows.
    """
    if isinstance(type_, Enum) and type_.enum_class is not None:
        return TypeAdapter(type_.enum_class).core_schema
    if isinstance(type_, Enum):
        return core_schema.literal_schema([*type_.enums])
    if isinstance(type_, String):
        return core_schema.str_schema(max_length=type_.length)
    for kind, bits in _INTEGERS:
        if type(type_) in (kind, getattr(sqltypes, kind.__name__.upper(), None)):
            return core_schema.int_schema(ge=-(2 ** (bits - 1)), lt=2 ** (bits - 1))
    if isinstance(type_, DateTime):
        return _TIMES[bool(type_.timezone)]
    if isinstance(type_, ARRAY):
        return core_schema.list_schema(
            core_schema.nullable_schema(_type_schema(type_.item_type))
        )
    for kind, schema in _PLAIN:
        if isinstance(type_, kind):
            return schema
    return core_schema.any_schema()


_PLAIN: tuple[tuple[type[TypeEngine[Any]], CoreSchema], ...] = (
    (Integer, core_schema.int_schema()),
    (Boolean, core_schema.bool_schema()),
    (Float, core_schema.float_schema()),
    (Numeric, TypeAdapter(Decimal).core_schema),
    (sqltypes.Date, core_schema.date_schema()),
    (sqltypes.Time, core_schema.time_schema()),
    (sqltypes.Interval, core_schema.timedelta_schema()),
    (LargeBinary, core_schema.bytes_schema()),
    (Uuid, core_schema.uuid_schema()),
)


def _aware(value: dt.datetime) -> dt.datetime:
    """
    A time without a zone is in UTC, as all times of models are.
    """
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


def _naive(value: dt.datetime) -> dt.datetime:
    """
    A column without a zone has UTC.
    """
    if value.tzinfo is None:
        return value
    return value.astimezone(dt.UTC).replace(tzinfo=None)


def _times(fits: Literal["aware", "naive"], otherwise: Any) -> CoreSchema:
    """
    Times with or without a zone; the others are converted.
    """
    return core_schema.union_schema(
        [
            core_schema.datetime_schema(tz_constraint=fits),
            core_schema.no_info_after_validator_function(
                otherwise, core_schema.datetime_schema()
            ),
        ],
        mode="left_to_right",
    )


_TIMES = {True: _times("aware", _aware), False: _times("naive", _naive)}
