"""
What the methods of a repository have in common.
"""

from __future__ import annotations

from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    ParamSpec,
    TypeVar,
    get_args,
    get_origin,
)
from weakref import WeakKeyDictionary

from sqlalchemy import bindparam, inspect

from project_architect_db.base import utc_now
from project_architect_db.dialect.execution import current_operation
from project_architect_db.dialect.foreign_keys import SOFTLY_DELETED
from project_architect_db.errors import (
    ConfigurationError,
    InvalidDataError,
    NotFoundError,
)
from project_architect_db.orm import bulk
from project_architect_db.orm.bulk_checks import any_of
from project_architect_db.orm.fields import fields_of, mapper_of
from project_architect_db.orm.query import QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from pydantic import BaseModel
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.fields import Fields

ModelT = TypeVar("ModelT")
P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def named_operation(
    method: Callable[P, Coroutine[Any, Any, ResultT]],
) -> Callable[P, Coroutine[Any, Any, ResultT]]:
    """
    Have hooks told which method of which repository a statement belongs to.
    """

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        repository: Any = args[0]
        name = f"{repository.label}.{method.__name__}"
        token = current_operation.set(current_operation.get() or name)
        try:
            return await method(*args, **kwargs)
        finally:
            current_operation.reset(token)

    return call


class _NamedQuery(QueryBuilder[ModelT]):
    """
    A query that says which repository it is of.
    """

    def __init__(self, model: type[ModelT], session: AsyncSession, label: str) -> None:
        super().__init__(model, session)
        self._label = label

    def _options(self, method: str) -> dict[str, Any]:
        return {"operation": current_operation.get() or f"{self._label}.{method}"}


_by_key: WeakKeyDictionary[type[Any], dict[bool, Any]] = WeakKeyDictionary()
"""Statements for one record of a model, without and with softly deleted ones."""


class RecordAccess(Generic[ModelT]):
    """
    How a repository finds, checks and writes records.
    """

    model: ClassVar[type[Any]]
    create_schema: ClassVar[type[BaseModel] | None] = None
    update_schema: ClassVar[type[BaseModel] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__dict__.get("__orig_bases__", ()):
            if issubclass(get_origin(base) or object, RecordAccess):
                for argument in get_args(base):
                    if isinstance(argument, type):
                        cls.model = argument

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        """
        The model of a ``BaseRepository[Model](session)``, without a class of its own.
        """
        kind = type(self).__name__
        if name == "model" and "__orig_class__" in vars(self):
            (model,) = get_args(vars(self)["__orig_class__"])
            if isinstance(model, ForwardRef):
                raise ConfigurationError(
                    f"{kind}[{model.__forward_arg__!r}]: give it the class itself, "
                    "which its name alone does not tell"
                )
            return model
        if name == "model":
            raise ConfigurationError(
                f"{kind}: of which model? Say so, as in BaseRepository[Model]"
            )
        raise AttributeError(f"{kind} has no attribute {name!r}")

    @property
    def label(self) -> str:
        """
        What hooks know it as: its name, and that of a model which is not part of it.
        """
        name = type(self).__name__
        return name if hasattr(type(self), "model") else f"{name}[{self._name}]"

    @property
    def _fields(self) -> Fields:
        return fields_of(self.model, self.create_schema, self.update_schema)

    @property
    def _name(self) -> str:
        return str(self.model.__name__)

    def base_query(self) -> QueryBuilder[ModelT]:
        """
        Where every read begins.
        """
        mapper_of(self.model)  # or it says that this is no model
        return _NamedQuery[ModelT](self.model, self.session, self.label)

    def _query(
        self, filters: dict[str, Any], *, include_deleted: bool = False
    ) -> QueryBuilder[ModelT]:
        query = self.base_query()
        if include_deleted:
            query = query.include_deleted()
        return query.filter(**filters) if filters else query

    async def _get(self, id: Any, *, include_deleted: bool = False) -> ModelT | None:
        (values,) = self._fields.keys_of([id], first=None)
        keys = {f"key_{number}": value for number, value in enumerate(values)}
        statement = self._by_key(include_deleted=bool(include_deleted))
        options = {"operation": current_operation.get() or f"{self.label}.get"}
        found = await self.session.execute(statement, keys, execution_options=options)
        record: ModelT | None = found.unique().scalar_one_or_none()
        return record

    def _by_key(self, *, include_deleted: bool) -> Select[ModelT]:
        """
        The statement for one record, made once where all repositories have the same.
        """
        is_own = type(self).base_query is not RecordAccess.base_query
        known = {} if is_own else _by_key.setdefault(self.model, {})
        if include_deleted not in known:
            same = [
                getattr(self.model, name) == bindparam(f"key_{number}")
                for number, name in enumerate(self._fields.key)
            ]
            query = self._query({}, include_deleted=include_deleted)
            known[include_deleted] = query.statement.where(*same)
        statement: Select[ModelT] = known[include_deleted]
        return statement

    async def _require(self, id: Any, *, include_deleted: bool = False) -> ModelT:
        record = await self._get(id, include_deleted=include_deleted)
        if record is None:
            raise NotFoundError(model=self._name, id=id)
        return record

    async def _delete_softly(
        self, keys: Sequence[tuple[Any, ...]], progress: Progress | None
    ) -> int:
        now = {str(self._softly_deleted): utc_now()}
        return await bulk.update_many(
            self.session, fields_of(self.model),
            [dict(zip(self._fields.key, key, strict=True)) | now for key in keys],
            among=self.base_query().statement, progress=progress,
        )  # fmt: skip

    async def _delete_for_good(
        self, keys: Sequence[tuple[Any, ...]], *, progress: Progress | None = None
    ) -> int:
        if not self._fields.is_joined:
            return await bulk.delete_many(
                self.session, self._fields, keys, progress=progress
            )
        for key in keys:  # SQLAlchemy knows the order of its tables
            await self.session.delete(await self.session.get(self.model, key))
        await self.session.flush()
        return len(keys)

    async def _keys(
        self, query: QueryBuilder[ModelT], among: Sequence[Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """
        The keys of what a query finds; among these, which are not asked for in vain.
        """
        if among is not None and self._sees_all:
            return [*among]
        names = self._fields.key
        if among is not None:
            query = query.filter(self._any_of(among))
        found = query.statement.with_only_columns(
            *(getattr(self.model, name) for name in names), maintain_column_froms=True
        )
        return [tuple(row) for row in await self.session.execute(found)]

    def _any_of(self, keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
        return any_of([getattr(self.model, name) for name in self._fields.key], keys)

    @property
    def _sees_all(self) -> bool:
        """
        Whether each row of the table is in `base_query`.
        """
        return (
            type(self).base_query is RecordAccess.base_query
            and self._softly_deleted is None
            and inspect(self.model).inherits is None
        )

    @property
    def _softly_deleted(self) -> str | None:
        columns = self._fields.columns.items()
        return next((n for n, c in columns if SOFTLY_DELETED in c.info), None)

    def _require_soft_delete(self) -> str:
        name = self._softly_deleted
        if name is None:
            raise InvalidDataError(
                "its records are deleted for good; give the model the SoftDeleteMixin",
                model=self._name, field="deleted_at", value=None,
            )  # fmt: skip
        return name
