"""
The fields of a model, and whether data fits them.

Each model has a validator made of its columns, so that what a database would refuse
is refused before anything is written, by the name of the field. A repository that has
a Create or an Update schema is checked by that as well, and first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, cast
from weakref import WeakKeyDictionary

from pydantic import ValidationError
from pydantic_core import SchemaValidator
from sqlalchemy import JSON, Column, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeDecorator

from project_architect_db.errors import ConfigurationError, InvalidDataError
from project_architect_db.orm.column_schemas import rows_validator
from project_architect_db.orm.defaults import Context, as_function, is_of_python
from project_architect_db.orm.incoming import Data, Given, SchemaType, given
from project_architect_db.orm.json_types import declared_schema
from project_architect_db.orm.refusals import refuse, refuse_unknown
from project_architect_db.orm.validators import factories_of, validated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import Table


class Fields:
    """
    What can be written into a model.

    Attributes:
        model: The model.
        table: Its table.
        is_joined: Its rows are in other tables, too.
        columns: Its columns, by the names of their attributes.
        json: Those of them that are JSON.
        key: The attributes of its primary key.
        version: The attribute that counts versions, if there is one.
        counts_versions: Each change has another one, without the app's doing.
        computed: The attributes that the database computes when they are read.
        mark: Before the name of an attribute, it is the name of nothing else.
    """

    def __init__(
        self, model: type[Any], create: SchemaType = None, update: SchemaType = None
    ) -> None:
        mapper: Mapper[Any] = mapper_of(model)
        self.model = model
        self.table = cast("Table", mapper.local_table)
        self.is_joined = len(mapper.tables) > 1
        found = {p.key: p.columns[0] for p in mapper.column_attrs}
        self.columns: dict[str, Column[Any]] = {
            name: column for name, column in found.items() if isinstance(column, Column)
        }
        self.computed = tuple(name for name in found if name not in self.columns)
        self.key = tuple(_name(mapper, column) for column in mapper.primary_key)
        version = mapper.version_id_col
        self.version = None if version is None else _name(mapper, version)
        self.counts_versions = version is not None and bool(mapper.version_id_generator)
        self.counting = _counting(mapper)
        self.mark = _mark({*found, *(column.key for column in self.columns.values())})
        self._mapper = mapper
        self._validators = mapper.validators.keys() & self.columns.keys()
        self.json = frozenset(n for n, c in self.columns.items() if _is_json(c))
        self._defaults = self._defaults_of_python()
        self._create_schema, self._update_schema = create, update
        declared = {
            name: declared_schema(model, name)
            for name in self.json
            if not isinstance(self.columns[name].type, TypeDecorator)
        }
        optional = self._optional()
        self._create = rows_validator(self.columns, optional=optional, json=declared)
        self._update = rows_validator(
            self.columns, optional=self.columns, json=declared
        )

    def _defaults_of_python(self) -> dict[str, Callable[[Any], Any]]:
        """
        The defaults that SQLAlchemy makes when it flushes.
        """
        mapper = self._mapper
        factories = factories_of(self.model).items()
        made = {name: make for name, make in factories if name in self.columns}
        for name, column in self.columns.items():
            if is_of_python(column.default):
                made[name] = as_function(column.default)
        if self.version is not None and mapper.version_id_generator:
            generate = mapper.version_id_generator
            made[self.version] = lambda _: generate(None)
        if mapper.polymorphic_identity is not None:
            identity = mapper.polymorphic_identity
            made[_name(mapper, mapper.polymorphic_on)] = lambda _: identity
        return made

    def _optional(self) -> list[str]:
        return [
            name
            for name, column in self.columns.items()
            if column.nullable
            or column.default is not None
            or column.server_default is not None
            or name in (*self._defaults, self.counting)
        ]

    # --- checking -----------------------------------------------------------------

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
        if self._create_schema is not None or not _are_dicts(rows):
            rows = [each.row for each in self._given(rows, self._create_schema, first)]
        return self._checked(self._create, rows, first)

    def for_update(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Any]:
        """
        The rows with the values to change; what is absent stays as it is.

        Raises:
            UnknownFieldError: The model has no such field.
            InvalidDataError: A value does not fit its field.
        """
        if self._update_schema is not None or not _are_dicts(rows):
            found = self._given(rows, self._update_schema, first, aside=self._aside)
            rows = [_part(row, names) for row, names in found]
        return self._checked(self._update, rows, first)

    def for_upsert(self, rows: Sequence[Data], *, first: int | None = 0) -> list[Given]:
        """
        The rows as for `for_create`, with the names of what changes a row there is.
        """
        found = self._given(rows, self._create_schema, first, aside=self._aside)
        checked = self._checked(self._create, [each.row for each in found], first)
        return [
            Given(row, each.names) for row, each in zip(checked, found, strict=True)
        ]

    @property
    def _aside(self) -> tuple[str, ...]:
        """
        What says which row is meant, whether or not a schema knows it.
        """
        return self.key if self.version is None else (*self.key, self.version)

    def _given(
        self, rows: Sequence[Data], schema: SchemaType, first: int | None,
        aside: Collection[str] = (),
    ) -> list[Given]:  # fmt: skip
        return given(rows, schema, first, aside=aside, json=self.json)

    def _checked(
        self, validator: SchemaValidator, rows: Sequence[Any], first: int | None
    ) -> list[Any]:
        try:
            checked = validator.validate_python(list(rows))
        except ValidationError as error:
            refuse(self, error, first)
        if self._validators and first is not None:  # one alone meets them as an object
            return [
                validated(self, row, first + number)
                for number, row in enumerate(checked)
            ]
        return checked  # type: ignore[no-any-return]

    def refuse_unknown(self, name: str) -> NoReturn:
        """
        Raise because the model has no such field, and say which one may be meant.
        """
        refuse_unknown(self, name)

    def require_known(self, names: Iterable[str]) -> None:
        """
        Raise unless the model has all of these fields.
        """
        for name in names:
            if name not in self.columns:
                self.refuse_unknown(name)

    def keys_of(
        self, ids: Sequence[Any], *, first: int | None = 0
    ) -> list[tuple[Any, ...]]:
        """
        The values of the primary key that ids stand for.

        Raises:
            InvalidDataError: One is of the wrong type, or of too few parts.
        """
        rows: list[Any] = []
        for number, id in enumerate(ids):
            parts = tuple(id) if isinstance(id, tuple) else (id,)
            if len(parts) != len(self.key):
                raise InvalidDataError(
                    f"expected {len(self.key)} values", model=self.model.__name__,
                    field=", ".join(self.key), value=id,
                    index=None if first is None else first + number,
                )  # fmt: skip
            rows.append(dict(zip(self.key, parts, strict=True)))
        checked = self._checked(self._update, rows, first)
        return [tuple([row[name] for name in self.key]) for row in checked]

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

    # --- rows that were checked ---------------------------------------------------

    def add_defaults(self, row: dict[str, Any]) -> None:
        """
        Add the defaults that Python makes for fields that are absent.

        A new row begins with the first version, whatever it says, as with SQLAlchemy.
        """
        for name, default in self._defaults.items():
            if name not in row or (name == self.version and self.counts_versions):
                row[name] = default(Context(self.columns, row))

    def set_by_updates(self) -> dict[str, Any]:
        """
        What an UPDATE sets without being told, by the keys of columns.
        """
        return {
            column.key: as_function(column.onupdate)(Context(self.columns, {}))
            for column in self.columns.values()
            if is_of_python(column.onupdate)
        }

    def version_of(self, given: Any) -> Any:
        """
        A version that was given, as its column has it.
        """
        try:
            (row,) = self._checked(self._update, [{self.version: given}], None)
        except InvalidDataError as error:
            raise InvalidDataError(
                f"it is no version: {error}", model=self.model.__name__,
                field="expected_version", value=given,
            ) from error  # fmt: skip
        return row[self.version]

    def is_made_by_database(self, name: str) -> bool:
        """
        Whether the database has a value for a field that is absent.
        """
        column = self.columns[name]
        default = column.default
        return bool(
            column.server_default is not None
            or column.computed is not None
            or (default is not None and not is_of_python(default))
        )

    def by_column(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        The rows by the keys of columns, where attributes are called otherwise.
        """
        keys = {name: column.key for name, column in self.columns.items()}
        if all(name == key for name, key in keys.items()):
            return rows
        return [{keys[name]: value for name, value in row.items()} for row in rows]


def mapper_of(model: Any) -> Mapper[Any]:
    """
    The mapper of a model.

    Raises:
        ConfigurationError: It is none.
    """
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        name = getattr(model, "__name__", model)
        raise ConfigurationError(f"{name} is no model: it is not mapped to a table")
    return mapper


def _mark(names: set[str]) -> str:
    mark = "_"
    while any(name.startswith(mark) for name in names):
        mark += "_"
    return mark


_fields: WeakKeyDictionary[type[Any], dict[tuple[SchemaType, SchemaType], Fields]] = (
    WeakKeyDictionary()
)


def fields_of(
    model: type[Any], create: SchemaType = None, update: SchemaType = None
) -> Fields:
    """
    The fields of a model with these schemas, made once.
    """
    made = _fields.setdefault(model, {})
    if (create, update) not in made:
        made[create, update] = Fields(model, create, update)
    return made[create, update]


def _are_dicts(rows: Sequence[Any]) -> bool:
    return set(map(type, rows)) <= {dict}


def _part(row: Any, names: Collection[str]) -> Any:
    return {name: row[name] for name in names} if isinstance(row, Mapping) else row


def _name(mapper: Mapper[Any], column: Any) -> str:
    return mapper.get_property_by_column(column).key


def _counting(mapper: Mapper[Any]) -> str | None:
    """
    The attribute of the key that counts by itself.
    """
    column = cast("Table", mapper.tables[0]).autoincrement_column
    return None if column is None else _name(mapper, column)


def _is_json(column: Column[Any]) -> bool:
    kind: Any = column.type
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return isinstance(kind, JSON)
