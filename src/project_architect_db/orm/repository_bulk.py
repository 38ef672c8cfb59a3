"""
What a repository does with many records at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from project_architect_db.orm import bulk
from project_architect_db.orm.refusals import each_of, match_of
from project_architect_db.orm.repository_base import named_operation as _named
from project_architect_db.orm.repository_writing import RecordWriting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.incoming import Data

ModelT = TypeVar("ModelT")


class BulkMethods(RecordWriting[ModelT]):
    """
    Many records, by columns; all or nothing.
    """

    @_named
    async def bulk_create(
        self, data_list: Iterable[Data], *, progress: Progress | None = None
    ) -> list[ModelT]:
        """
        Add many records by columns, and return them in their order.

        All are checked before the first is written. Neither `__init__` nor flush events
        of the model are called; its validators (`@validates`) are, on an object that
        has the values of the row and nothing else.

        Raises:
            InvalidDataError: A value does not fit; `index` says of which row.
        """
        return await bulk.create(
            self.session, self._fields, data_list, progress=progress
        )

    @_named
    async def bulk_insert(
        self, rows: Iterable[Data], *, progress: Progress | None = None
    ) -> int:
        """
        Add records as they come, in bounded memory, and return how many there were.

        If one of them is wrong, the transaction ends, and nothing of it is written.
        """
        return await bulk.insert_many(
            self.session, self._fields, rows, progress=progress
        )

    @_named
    async def bulk_update(
        self, updates: Iterable[Data], *, progress: Progress | None = None
    ) -> int:
        """
        Change many records, each by its id and what else is in its row.

        Raises:
            NotFoundError: One of them is not there; nothing is written.
            StaleRecordError: A row says a version, and the record has another one.
        """
        return await bulk.update_many(
            self.session, self._fields, updates,
            among=self.base_query().statement, progress=progress,
        )  # fmt: skip

    @_named
    async def bulk_upsert(
        self, rows: Iterable[Data], *, match: str | Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> int:  # fmt: skip
        """
        Add records, or change those with the same `match` fields, which are unique.

        Raises:
            StaleRecordError: A row says a version, and the record has another one.
            DuplicateError: There is one where `base_query` does not look.
        """
        return await bulk.upsert_many(
            self.session, self._fields, rows, match=match_of(self._fields, match),
            among=None if self._sees_all else self.base_query().statement,
            progress=progress,
        )  # fmt: skip

    @_named
    async def bulk_delete(
        self, ids: Iterable[Any], *, progress: Progress | None = None
    ) -> int:
        """
        Delete the records with these ids, and return how many there were.
        """
        each = each_of(self._fields, ids)
        given = await bulk.checked_by(self._fields.keys_of, each)
        keys = await self._keys(self.base_query(), given)
        if self._softly_deleted is not None:
            return await self._delete_softly(keys, progress)
        return await self._delete_for_good(keys, progress=progress)
