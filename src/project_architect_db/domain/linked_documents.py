"""
Documents, each with a repository of its own project, on each road.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.models import Document
from project_architect_db.domain.repository_links import (
    Link,
    links_after,
    require_own_repositories,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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

    async def _require_links(
        self, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
    ) -> None:
        links = await links_after(self.session, rows, match)
        await require_own_repositories(self.session, links)

    async def _require_own(self, links: Iterable[tuple[int | None, Link]]) -> None:
        await require_own_repositories(self.session, links)
