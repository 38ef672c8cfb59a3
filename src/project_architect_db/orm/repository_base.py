"""
What the methods of a repository have in common.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, get_args

from sqlalchemy import bindparam, inspect
from sqlalchemy.orm.exc import StaleDataError

from project_architect_db.base import utc_now
from project_architect_db.dialect.execution import current_operation
from project_architect_db.dialect.references import SOFTLY_DELETED
from project_architect_db.errors import (
    InvalidDataError,
    NotFoundError,
    StaleRecordError,
)
from project_architect_db.orm import bulk
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.query import QueryBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from pydantic import BaseModel
    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.fields import Data, Fields

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
        name = f"{type(args[0]).__name__}.{method.__name__}"
        token = current_operation.set(current_operation.get() or name)
        try:
            return await method(*args, **kwargs)
        finally:
            current_operation.reset(token)

    return call


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
            for argument in get_args(base):
                if isinstance(argument, type):
                    cls.model = argument

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        """
        The model of a ``BaseRepository[Model](session)``, without a class of its own.
        """
        if name == "model" and "__orig_class__" in vars(self):
            return get_args(vars(self)["__orig_class__"])[0]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def _fields(self) -> Fields:
        return fields_of(self.model)

    @property
    def _name(self) -> str:
        return str(self.model.__name__)

    def base_query(self) -> QueryBuilder[ModelT]:
        """
        Where every read begins.
        """
        return QueryBuilder[ModelT](self.model, self.session)

    def _query(
        self, filters: dict[str, Any], *, include_deleted: bool = False
    ) -> QueryBuilder[ModelT]:
        query = self.base_query()
        if include_deleted:
            query = query.include_deleted()
        return query.filter(**filters) if filters else query

    async def _get(self, id: Any, query: QueryBuilder[ModelT]) -> ModelT | None:
        columns = [getattr(self.model, name) for name in self._fields.key]
        values = self._fields.key_values(id)
        names = [f"key_{number}" for number in range(len(columns))]
        same = [c == bindparam(n) for c, n in zip(columns, names, strict=True)]
        statement = query.statement.where(*same)
        found = await self.session.execute(
            statement, dict(zip(names, values, strict=True))
        )
        return found.scalar_one_or_none()

    async def _require(self, id: Any, query: QueryBuilder[ModelT]) -> ModelT:
        record = await self._get(id, query)
        if record is None:
            raise NotFoundError(model=self._name, id=id)
        return record

    def _require_version(self, record: ModelT, expected: Any) -> None:
        if expected is None:
            return
        name = self._fields.version
        if name is None:
            raise InvalidDataError(
                "it has no version to compare; give the model the VersionMixin",
                model=self._name, field="expected_version", value=expected,
            )  # fmt: skip
        if (found := getattr(record, name)) != expected:
            raise self._stale(record, expected, found)

    def _stale(self, record: ModelT, expected: Any, found: Any) -> StaleRecordError:
        key = inspect(record).identity
        return StaleRecordError(
            model=self._name, id=key[0] if len(key) == 1 else key,
            expected=expected, found=found,
        )  # fmt: skip

    async def _flush(self, record: ModelT) -> None:
        version = self._fields.version
        before = None if version is None else getattr(record, version)
        try:
            await self.session.flush()
        except StaleDataError as error:
            raise self._stale(record, before, None) from error

    async def _purge(self, id: Any) -> bool:
        return bool(await bulk.delete_many(
            self.session, self.model, [self._fields.key_values(id)]
        ))  # fmt: skip

    async def _delete_many(
        self, keys: Sequence[tuple[Any, ...]], *, progress: Progress | None = None
    ) -> int:
        softly = self._softly_deleted
        if softly is None:
            return await bulk.delete_many(
                self.session, self.model, keys, progress=progress
            )
        alive = self.base_query().filter(self._any_of(keys))
        names = self._fields.key
        rows = await alive.aggregate(*(getattr(self.model, n) for n in names)).all()
        now = utc_now()
        return await bulk.update_many(
            self.session, self.model,
            [{**dict(zip(names, row, strict=True)), softly: now} for row in rows],
            progress=progress,
        )  # fmt: skip

    def _any_of(self, keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
        return bulk.any_of(self._fields, keys)

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

    def _by_schema(
        self, rows: Sequence[Data], *, partial: bool = False
    ) -> Sequence[Data]:
        schema = self.update_schema if partial else self.create_schema
        if schema is None:
            return rows
        return [
            row if isinstance(row, schema) else schema.model_validate(row)
            for row in rows
        ]
