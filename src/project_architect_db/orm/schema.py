"""
What comes in and goes out, checked: the base of Create, Update and Read schemas.
"""

from __future__ import annotations

import difflib
import inspect
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

import pydantic
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from project_architect_db.errors import InvalidDataError, RecordError, UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pydantic.config import JsonDict

_shortener = reprlib.Repr()
_shortener.maxstring = _shortener.maxother = 80


class Schema(BaseModel):
    """
    The base of Create, Update and Read schemas: Pydantic, with this library's errors.

    Unknown fields are refused. The docstrings of fields become their descriptions.
    What is read from an object of a model is copied, so that changing the schema
    changes no record.

    Raises:
        UnknownFieldError: There is no field of that name.
        InvalidDataError: A value does not fit its field. As with `UnknownFieldError`,
            Pydantic's error is its cause, and lists all there is to correct.

    Example:
        >>> from project_architect_db.orm.schema import Schema
        >>> class NoteCreate(Schema):
        ...     title: str
        ...     pinned: bool = False
        >>> NoteCreate(title="Call Ada.")
        NoteCreate(title='Call Ada.', pinned=False)
        >>> try:
        ...     NoteCreate.model_validate({"titel": "Call Grace."})
        ... except UnknownFieldError as error:
        ...     print(error)
        NoteCreate has no field 'titel'; did you mean 'title'?
    """

    model_config = ConfigDict(
        extra="forbid", from_attributes=True, use_attribute_docstrings=True
    )

    def __init__(self, /, **data: Any) -> None:
        __tracebackhide__ = True
        with _in_our_words(type(self)):
            super().__init__(**data)

    # Pydantic would call an `__init__` of ours for every dict it validates, also for
    # FastAPI, which needs Pydantic's own error to answer 422.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """
        Make one of a dict, or of an object with the fields as attributes.
        """
        with _in_our_words(cls):
            made = super().model_validate(obj, **options)
        if not isinstance(obj, (Mapping, cls)):
            _detached(made)
        return made

    @classmethod
    def model_validate_json(
        cls, json_data: str | bytes | bytearray, **options: Any
    ) -> Self:
        """
        Make one of JSON text.
        """
        with _in_our_words(cls):
            return super().model_validate_json(json_data, **options)

    def changes(self) -> dict[str, Any]:
        """
        The fields that were given, `None` where that was given, and no others.

        Schemas inside are dicts with all of their fields; all other values are as they
        are in Python.
        """
        given = self.model_fields_set
        return {name: _dumped(value) for name, value in self if name in given}


class _WithoutDefault:
    """
    Takes the default out of the JSON schema, where null would not be valid.
    """

    def __init__(self, extra: JsonDict | Callable[[JsonDict], None] | None) -> None:
        self._extra = extra

    def __call__(self, schema: JsonDict) -> None:
        if callable(self._extra):
            self._extra(schema)
        else:
            schema.update(self._extra or {})
        schema.pop("default", None)


def absent(**options: Any) -> Any:
    """
    The default of a field that may be left out, but need not take null.

    `changes()` tells what was left out; the attribute itself is `None` then.

    Args:
        options: What Pydantic's `Field` takes.

    Example:
        >>> from project_architect_db.orm.schema import Schema, absent
        >>> class NoteUpdate(Schema):
        ...     title: str = absent(max_length=255)
        ...     text: str | None = absent()
        >>> NoteUpdate(text=None).changes()
        {'text': None}
    """
    extra = _WithoutDefault(options.pop("json_schema_extra", None))
    return Field(default=None, json_schema_extra=extra, **options)


def update_schema(create: type[Schema], *, name: str | None = None) -> type[Schema]:
    """
    The Update schema of a Create schema: each field may be left out.

    A field may be null only where it may be so in the Create schema. The rules of
    fields (constraints and field validators) stay; those of the whole schema (model
    validators) go, as a part cannot keep them. Type checkers do not see its fields:
    where they should, write the class, with `absent()`.

    Args:
        name: By default ``NoteUpdate`` for ``NoteCreate``.

    Example:
        >>> from project_architect_db.orm.schema import Schema, update_schema
        >>> class NoteCreate(Schema):
        ...     title: str
        ...     pinned: bool = False
        >>> NoteUpdate = update_schema(NoteCreate)
        >>> NoteUpdate(pinned=True).changes()
        {'pinned': True}
    """
    fields: dict[str, Any] = {}
    for field, info in create.model_fields.items():
        facts = info.asdict()
        options = dict(facts["attributes"])
        for about_the_default in ("default", "default_factory", "validate_default"):
            options.pop(about_the_default)
        annotation, metadata = facts["annotation"], facts["metadata"]
        fields[field] = Annotated[annotation, *metadata, absent(**options)]
    config = {key: v for key, v in create.model_config.items() if key != "title"}
    return pydantic.create_model(
        name or f"{create.__name__.removesuffix('Create')}Update",
        __base__=Schema,
        __module__=create.__module__,
        __doc__=create.__doc__,
        __cls_kwargs__=config,
        __validators__=_rules_of_fields(create),
        **fields,
    )


def _rules_of_fields(schema: type[BaseModel]) -> dict[str, Any]:
    decorate: Any = pydantic.field_validator
    return {
        name: decorate(
            *rule.info.fields,
            mode=rule.info.mode,
            json_schema_input_type=rule.info.json_schema_input_type,
        )(inspect.getattr_static(schema, name))
        for name, rule in schema.__pydantic_decorators__.field_validators.items()
    }


def in_our_words(
    error: ValidationError, schema: type[BaseModel], *, index: int | None = None
) -> RecordError:
    """
    Our error for one of Pydantic's, for code that validates past `Schema`'s methods.

    Args:
        index: Which row of many it was in.
    """
    problems = error.errors(include_url=False)
    for problem in problems:
        # first, as what was misspelt is often what another problem says is missing
        if problem["type"] == "extra_forbidden":
            return _unknown_field(schema, problem["loc"], index)
    problem, others = problems[0], len(problems) - 1
    said = str(problem.get("ctx", {}).get("error", problem["msg"]))
    value = None if problem["type"] == "missing" else problem["input"]
    if problem["type"] != "missing":
        said += f" (got {_shortener.repr(value)})"
    if others:
        said += f"; and {others} more problem{'s' if others > 1 else ''}"
    return InvalidDataError(
        said,
        model=schema.__name__,
        field=_dotted(problem["loc"]) or "*",
        value=value,
        index=index,
    )


def _unknown_field(
    schema: type[BaseModel], place: Sequence[Any], index: int | None
) -> UnknownFieldError:
    known = _fields_at(schema, place[:-1])
    close = difflib.get_close_matches(str(place[-1]), known, n=1)
    return UnknownFieldError(
        model=schema.__name__,
        field=_dotted(place),
        suggestion=close[0] if close else None,
        known=known,
        index=index,
    )


@contextmanager
def _in_our_words(schema: type[BaseModel]) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise in_our_words(error, schema) from error


def _dotted(place: Iterable[str | int]) -> str:
    return ".".join(map(str, place))


def _fields_at(schema: type[BaseModel], place: Iterable[str | int]) -> list[str]:
    models = [schema]
    for step in place:
        inside = [
            model
            for outer in models
            for name, info in outer.model_fields.items()
            if step in (name, info.alias)
            for model in _models_in(info.annotation)
        ]
        models = inside or models  # an index, a key or a tag stays where it is
    return [
        info.alias or name
        for model in models
        for name, info in model.model_fields.items()
    ]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _dumped(value: Any) -> Any:
    if isinstance(value, Schema):
        return {
            name: _dumped(inner)
            for name, inner in value
            if name in value.model_fields_set or not _may_be_absent(value, name)
        }
    if isinstance(value, BaseModel):
        return value.model_dump()
    return _with_each(value, _dumped)


def _may_be_absent(schema: Schema, name: str) -> bool:
    info = type(schema).model_fields[name]
    return isinstance(info.json_schema_extra, _WithoutDefault)


def _detached(value: Any) -> Any:
    if isinstance(value, BaseModel):
        inside = vars(value)
        inside.update({name: _detached(inner) for name, inner in inside.items()})
        return value
    return _with_each(value, _detached)


def _with_each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [change(inner) for inner in value]
    return value
