"""
Documents, each with a repository of its own project, on each road.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.models import Document
from project_architect_db.domain.repository_links import (
    Link,
    link_in,
    links_after,
    require_own_repositories,
)
from project_architect_db.orm.bulk_steps import writing
from project_architect_db.orm.refusals import each_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.incoming import Data


class LinkedDocuments(RecordingRepository[Document]):
    """
    A repository of documents that refuses what links two projects.
    """

    async def _create(self, values: dict[str, Any]) -> Document:
        link = Link(values.get("project_id"), values.get("repository_id"))
        await require_own_repositories(self.session, [(None, link)])
        return await super()._create(values)

    async def _change(
        self, record: Document, changes: Mapping[str, Any], expected: Any = None
    ) -> Document:
        link = Link(
            changes.get("project_id", record.project_id),
            changes.get("repository_id", record.repository_id),
        )
        if link != (record.project_id, record.repository_id):
            await require_own_repositories(self.session, [(None, link)])
        return await super()._change(record, changes, expected)

    async def bulk_create(
        self, data_list: Iterable[Data], *, progress: Progress | None = None
    ) -> list[Document]:
        """
        Add many documents, and one event with their number.

        Raises:
            InvalidDataError: One names a repository of another project, or a value
                does not fit; `index` says of which row.
        """
        rows = [*each_of(self._fields, data_list)]
        links = enumerate(map(link_in, rows))
        await require_own_repositories(self.session, links)
        return await super().bulk_create(rows, progress=progress)

    async def bulk_insert(
        self, rows: Iterable[Data], *, progress: Progress | None = None
    ) -> int:
        """
        Add documents as they come, and one event with their number.

        Raises:
            InvalidDataError: One names a repository of another project, or a value
                does not fit; the transaction has ended.
        """
        first: dict[Link, int] = {}  # as many as there are repositories
        coming = each_of(self._fields, rows)

        def noted() -> Iterator[Data]:
            for number, row in enumerate(coming):
                link = link_in(row)
                if link.repository_id is not None:
                    first.setdefault(link, number)
                yield row

        count = await super().bulk_insert(noted(), progress=progress)
        async with writing(self.session, self._fields):
            links = [(number, link) for link, number in first.items()]
            await require_own_repositories(self.session, links)
        return count

    async def _require_links(
        self, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
    ) -> None:
        links = await links_after(self.session, rows, match)
        await require_own_repositories(self.session, enumerate(links))
