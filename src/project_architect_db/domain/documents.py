"""
The repository of documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.models import Activity, Document
from project_architect_db.domain.schemas import DocumentCreate, DocumentUpdate
from project_architect_db.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from project_architect_db.orm.query_pages import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentUsage:
    """
    How a document is used, as far as its reads were recorded.

    Attributes:
        readers: Different actors who read it.
        changes: How often it was changed.
    """

    document_id: int
    reads: int
    readers: int
    first_read_at: datetime | None
    last_read_at: datetime | None
    changes: int
    last_changed_at: datetime | None


class DocumentRepository(RecordingRepository[Document]):
    """
    Documents, their files, and full-text search in them.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         project = await ProjectRepository(session).create(
        ...             {"name": "a", "project_idea": "b"})
        ...         documents = DocumentRepository(session)
        ...         made = await documents.create({
        ...             "project_id": project.id, "title": "Plan",
        ...             "path": "./docs/a.md", "content": "First the parser."})
        ...         (found,) = await documents.search("parsing")
        ...         print(made.path, made.lines, found.document.title)
        docs/a.md 1 Plan
    """

    create_schema = DocumentCreate
    update_schema = DocumentUpdate

    async def list_by_project(
        self, project_id: int, limit: int = 100, *, kind: str | None = None,
        cursor: str | None = None, **filters: Any,
    ) -> Page[Document]:  # fmt: skip
        """
        The documents of a project, of one kind or of all, by id, page by page.
        """
        if kind is not None:
            filters["kind"] = kind
        return await self.paginate(
            limit, cursor=cursor, project_id=project_id, **filters
        )

    # --- use ----------------------------------------------------------------------

    async def record_reads(self, ids: Iterable[int]) -> int:
        """
        Note that documents were read, all in one statement; return how many there were.

        Nothing else records a read: an app decides what counts as one.
        """
        rows = await self._select([*dict.fromkeys(ids)], "id")
        await self.add_events(
            {"action": "read", "entity_id": id_, "project_id": project_id}
            for id_, project_id, _ in rows
        )
        return len(rows)

    async def usage(self, id: int) -> DocumentUsage:
        """
        How a document is used.

        Raises:
            NotFoundError: There is no such document.
        """
        if not await self.exists(id=id):
            raise NotFoundError(model="Document", id=id)
        is_read, changed = Activity.action == "read", Activity.action.in_(_CHANGES)
        row = (
            await self.session.execute(
                select(
                    func.count().filter(is_read),
                    func.count(distinct(Activity.actor)).filter(is_read),
                    func.min(Activity.occurred_at).filter(is_read),
                    func.max(Activity.occurred_at).filter(is_read),
                    func.count().filter(changed),
                    func.max(Activity.occurred_at).filter(changed),
                ).where(Activity.entity == "document", Activity.entity_id == id)
            )
        ).one()
        reads, readers, first, last, changes, changed_at = row
        return DocumentUsage(
            document_id=id, reads=reads, readers=readers, first_read_at=first,
            last_read_at=last, changes=changes, last_changed_at=changed_at,
        )  # fmt: skip


_CHANGES = ["updated", "changed", "moved"]
