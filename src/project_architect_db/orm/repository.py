"""
The repository of a model: what an application asks of its records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import inspect

from project_architect_db.base import utc_now
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm import bulk
from project_architect_db.orm.bulk_checks import require_visible
from project_architect_db.orm.refusals import each_of, match_of, names_of
from project_architect_db.orm.repository_base import named_operation as _named
from project_architect_db.orm.repository_bulk import BulkMethods
from project_architect_db.orm.staleness import flush_others

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from project_architect_db.orm.incoming import Data
    from project_architect_db.orm.query import QueryBuilder
    from project_architect_db.orm.query_pages import Page

ModelT = TypeVar("ModelT")


class BaseRepository(BulkMethods[ModelT]):
    """
    The records of one model, in one session.

    It flushes and never commits: `engine.transaction()` does. Data is a dict or a
    Pydantic model, and is checked before anything is written: by `create_schema` and
    `update_schema` where there are any, and by the columns. Which record is meant (its
    key, its version) need not be part of a schema.

    Every read begins with `base_query`, which leaves softly deleted rows out; override
    it to leave out more. Filters are lookups as in `QueryBuilder.filter`.

    Args:
        session: Any `AsyncSession`.

    Attributes:
        model: The model, as named in ``BaseRepository[Model]``.
        create_schema: What new records are checked by.
        update_schema: What changes are checked by.

    Example:
        >>> from project_architect_db.orm.repository import BaseRepository
        >>> class ProjectRepository(BaseRepository[Project]):
        ...     async def active(self) -> list[Project]:
        ...         return await self.base_query().filter(status="active").all()
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         projects = ProjectRepository(session)
        ...         made = await projects.create({"name": "a", "project_idea": "b"})
        ...         made = await projects.update(made.id, {"status": "active"})
        ...         print(len(await projects.active()))
        1
    """

    # --- one record ---------------------------------------------------------------

    @_named
    async def create(self, data: Data) -> ModelT:
        """
        Add a record, and flush it.

        Raises:
            UnknownFieldError: The model has no such field.
            InvalidDataError: A value is missing, or does not fit its field.
            DuplicateError: There is one with this key already.
        """
        (values,) = self._fields.for_create([data], first=None)
        return await self._create(values)

    @_named
    async def get_by_id(
        self, id: Any, *, include_deleted: bool = False
    ) -> ModelT | None:
        """
        The record with this id, or `None`; a tuple for keys of several columns.
        """
        return await self._get(id, include_deleted=include_deleted)

    @_named
    async def get_one(self, id: Any, *, include_deleted: bool = False) -> ModelT:
        """
        The record with this id.

        Raises:
            NotFoundError: There is none.
        """
        return await self._require(id, include_deleted=include_deleted)

    @_named
    async def get_one_or_none(
        self, *, include_deleted: bool = False, **filters: Any
    ) -> ModelT | None:
        """
        The only record that meets the filters, or `None`.

        Raises:
            sqlalchemy.exc.MultipleResultsFound: There are several.
        """
        found = self._query(filters, include_deleted=include_deleted)
        return await found.one_or_none()

    @_named
    async def get_many(
        self, ids: Iterable[Any], *, include_deleted: bool = False
    ) -> list[ModelT]:
        """
        The records with these ids that there are, in the order of the ids.
        """
        given = each_of(self._fields, ids)
        wanted = await bulk.checked_by(self._fields.keys_of, given)
        query = self._query({}, include_deleted=include_deleted)
        found = {
            inspect(record).identity: record
            for record in await query.filter(self._any_of(wanted)).all()
        }
        return [found[key] for key in dict.fromkeys(wanted) if key in found]

    @_named
    async def update(
        self, id: Any, data: Data, *, expected_version: Any = None
    ) -> ModelT:
        """
        Change the record with this id, and flush it; what is absent stays as it is.

        Args:
            id: Of the record.
            data: What to change.
            expected_version: The version the change was decided upon.

        Raises:
            NotFoundError: There is no such record.
            StaleRecordError: It has another version by now.
            UnknownFieldError: The model has no such field.
            InvalidDataError: A value does not fit its field.
        """
        (changes,) = self._fields.for_update([data], first=None)
        await flush_others(self.session)
        record = await self._require(id)
        return await self._change(record, changes, expected_version)

    @_named
    async def upsert(
        self, data: Data, *, match: str | Sequence[str] | None = None
    ) -> ModelT:
        """
        Change the record with the same `match` fields (by default its key), or add it.

        Raises:
            StaleRecordError: The data says a version, and the record has another one.
            DuplicateError: There is one where `base_query` does not look.
        """
        names = match_of(self._fields, match)
        ((row, given),) = self._fields.for_upsert([data], first=None)
        await flush_others(self.session)
        record = None
        if all(row.get(name) is not None for name in names):
            same = {name: row[name] for name in names}
            record = await self.base_query().filter(**same).one_or_none()
            if record is None and not self._sees_all:
                where = (names, self.base_query().statement)
                connection = await self._connection()
                await require_visible(connection, self._fields, [row], where)
        if record is None:
            return await self._create(row)
        return await self._change(record, {name: row[name] for name in given})

    @_named
    async def delete(self, id: Any, *, expected_version: Any = None) -> bool:
        """
        Delete the record with this id; hide it, if its model is softly deleted.

        Args:
            id: Of the record.
            expected_version: The version it was decided upon.

        Returns:
            Whether there was one.

        Raises:
            StaleRecordError: It has another version by now.
            StillReferencedError: Other records need it.
        """
        softly = self._softly_deleted
        await flush_others(self.session)
        if softly is None and expected_version is None:
            return await self._purge(id, self.base_query())
        record = await self._get(id)
        if record is None:
            return False
        if softly is not None:
            await self._change(record, {softly: utc_now()}, expected_version)
            return True
        self._require_version(record, expected_version)
        return await self._purge(id, self.base_query())

    @_named
    async def restore(self, id: Any) -> ModelT:
        """
        Bring a softly deleted record back.

        Raises:
            NotFoundError: There is no such record.
        """
        softly = self._require_soft_delete()
        await flush_others(self.session)
        record = await self._require(id, include_deleted=True)
        return await self._change(record, {softly: None})

    @_named
    async def purge(self, id: Any) -> bool:
        """
        Delete a record for good, whether it was softly deleted or not.
        """
        return await self._purge(id, self.base_query().include_deleted())

    async def _purge(self, id: Any, query: QueryBuilder[ModelT]) -> bool:
        keys = await self._keys(query, self._fields.keys_of([id], first=None))
        return bool(await self._delete_for_good(keys))

    # --- several records ----------------------------------------------------------

    @_named
    async def count(self, *, include_deleted: bool = False, **filters: Any) -> int:
        """
        How many records meet the filters.
        """
        return await self._query(filters, include_deleted=include_deleted).count()

    @_named
    async def exists(self, *, include_deleted: bool = False, **filters: Any) -> bool:
        """
        Whether any record meets the filters.
        """
        return await self._query(filters, include_deleted=include_deleted).exists()

    @_named
    async def paginate(
        self, limit: int = 100, *, cursor: str | None = None,
        order_by: str | Sequence[str] = (), include_deleted: bool = False,
        **filters: Any,
    ) -> Page[ModelT]:  # fmt: skip
        """
        A page of the records that meet the filters, and where the next one begins.
        """
        query = self._query(filters, include_deleted=include_deleted)
        ordered = query.order_by(*names_of(order_by))
        return await ordered.paginate(limit, cursor=cursor)

    def stream(
        self, *, order_by: str | Sequence[str] = (), include_deleted: bool = False,
        **filters: Any,
    ) -> AsyncIterator[ModelT]:  # fmt: skip
        """
        The records that meet the filters, one after the other in constant memory.
        """
        query = self._query(filters, include_deleted=include_deleted)
        return query.order_by(*names_of(order_by)).stream()

    @_named
    async def delete_where(self, **filters: Any) -> int:
        """
        Delete the records that meet the filters, and return how many there were.

        Raises:
            InvalidDataError: There are no filters; `delete_all` does without.
        """
        if not filters:
            raise InvalidDataError(
                "without a filter it would delete all there are; if that is meant, "
                "call delete_all()",
                model=self._name, field="*", value=filters,
            )  # fmt: skip
        return await self._delete_what(self._query(filters))

    @_named
    async def delete_all(self) -> int:
        """
        Delete all records of `base_query`, and return how many there were.
        """
        return await self._delete_what(self.base_query())

    async def _delete_what(self, query: QueryBuilder[ModelT]) -> int:
        keys = await self._keys(query)
        if self._softly_deleted is not None:
            return await self._delete_softly(keys, None)
        return await self._delete_for_good(keys)

    @_named
    async def list(
        self, limit: int = 100, offset: int = 0, *,
        order_by: str | Sequence[str] = (), include_deleted: bool = False,
        **filters: Any,
    ) -> list[ModelT]:  # fmt: skip
        """
        Records that meet the filters, in this order, and else in that of their keys.
        """
        found = self._query(filters, include_deleted=include_deleted)
        order = (*names_of(order_by), *self._fields.key)
        return await found.order_by(*order).limit(limit).offset(offset).all()
