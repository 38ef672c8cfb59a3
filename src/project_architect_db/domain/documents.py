"""
The repository of documents.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from project_architect_db.base import utc_now
from project_architect_db.dialect.database import open_files
from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.file_reading import Skipped
from project_architect_db.domain.files import FileReport, KnownFile, check_files
from project_architect_db.domain.models import Activity, Document, Repository
from project_architect_db.domain.paths import resolve_path
from project_architect_db.domain.schemas import DocumentCreate, DocumentUpdate
from project_architect_db.domain.search import DocumentSearch, SearchResult
from project_architect_db.domain.vocabulary import DOCUMENT_KINDS
from project_architect_db.engine.address import wal_of
from project_architect_db.errors import (
    DuplicateError,
    InvalidDataError,
    NotFoundError,
)
from project_architect_db.orm import bulk
from project_architect_db.orm.bulk_checks import any_of
from project_architect_db.orm.fields import fields_of

if TYPE_CHECKING:
    import os
    import pathlib
    from collections.abc import Callable, Iterable

    from sqlalchemy import ColumnElement

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
        ...         (found,) = await documents.search("parsers")
        ...         print(made.path, made.lines, found.document.title)
        docs/a.md 1 Plan
    """

    create_schema = DocumentCreate
    update_schema = DocumentUpdate
    watched = {"path": "moved"}

    async def list_by_project(
        self, project_id: int, limit: int = 100, *, kind: str | None = None,
        cursor: str | None = None, **filters: Any,
    ) -> Page[Document]:  # fmt: skip
        """
        The documents of a project, of one kind or of all, by id, page by page.

        Raises:
            InvalidDataError: There is no such kind.
        """
        if kind is not None:
            DOCUMENT_KINDS.require(kind, model="Document", field="kind")
            filters["kind"] = kind
        return await self.paginate(
            limit, cursor=cursor, project_id=project_id, **filters
        )

    async def search(
        self, text: str, *conditions: ColumnElement[bool],
        project_id: int | None = None, kind: str | None = None,
        match_all: bool = False, limit: int = 20, offset: int = 0,
    ) -> list[SearchResult]:  # fmt: skip
        """
        The documents whose title or content matches, best first, with the matches.

        See `DocumentSearch.search`, which this is.
        """
        return await DocumentSearch(self.session).search(
            text, *conditions, project_id=project_id, kind=kind, match_all=match_all,
            limit=limit, offset=offset,
        )  # fmt: skip

    # --- files --------------------------------------------------------------------

    async def get_by_path(
        self, path: str, *, project_id: int, repository_id: int | None = None
    ) -> Document | None:
        """
        The document with this path, among those of a repository or without one.
        """
        query = self.base_query().filter(project_id=project_id, path=path)
        query = query.filter(Document.repository_id.is_not_distinct_from(repository_id))
        return await query.order_by("id").first()

    async def move(self, id: int, path: str) -> Document:
        """
        Give a document another path; its file, if there is one, is yours to move.

        Raises:
            NotFoundError: There is no such document.
            InvalidDataError: The path is none that a document may have.
            DuplicateError: Another document is there.
        """
        changes = DocumentUpdate(path=path).changes()
        document = await self.get_one(id)
        there = await self.get_by_path(
            changes["path"],
            project_id=document.project_id, repository_id=document.repository_id,
        )  # fmt: skip
        if there is not None and there is not document:
            key = f"path: {changes['path']}"
            raise DuplicateError(f"there is a Document with {key}", key=key)
        return await self._change(document, changes)

    async def resolve(
        self, id: int, root: str | os.PathLike[str] | None = None
    ) -> pathlib.Path:
        """
        Where the file of a document is.

        Args:
            id: Of the document.
            root: The folder its path starts from; by default its repository's.

        Raises:
            NotFoundError: There is no such document.
            InvalidDataError: It has no path, or there is nothing it starts from.
            UnsafePathError: It leads out of the root.
        """
        document = await self.get_one(id)
        if document.path is None:
            raise InvalidDataError(
                "it has none", model="Document", field="path", value=None
            )
        root = root or await self._root(document.repository_id)
        return await asyncio.to_thread(resolve_path, root, document.path)

    async def check_files(
        self, root: str | os.PathLike[str] | None = None, *,
        repository_id: int | None = None, project_id: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FileReport:  # fmt: skip
        """
        Find out what has become of the files of documents; nothing is written.

        Files may take a while to read: ask in an `engine.session()`, which keeps no
        writer waiting, and write what was found with `note_files`.

        Args:
            root: The folder that paths start from; by default the repository's.
            repository_id: The documents of this repository …
            project_id: … or those of this project that are of no repository.
            progress: Called with the number of documents looked at so far, and of all.

        Raises:
            InvalidDataError: There is nothing that paths start from.
            ConfigurationError: The root is no folder.
        """
        columns = (Document.id, Document.path, Document.checksum, Document.size)
        query = select(*columns).where(Document.path.is_not(None)).order_by(Document.id)
        if project_id is not None:
            query = query.where(Document.project_id == project_id)
        same = Document.repository_id.is_not_distinct_from(repository_id)
        rows = await self.session.execute(query.where(same))
        known = [
            KnownFile(id_, str(path), sum_, size) for id_, path, sum_, size in rows
        ]
        closed = [file for path in open_files() for file in (path, wal_of(path))]
        root = root or await self._root(repository_id)
        return await check_files(root, known, exclude=closed, progress=progress)

    async def note_files(self, report: FileReport) -> None:
        """
        Write what `check_files` has found: new paths, and since when files are missing.

        The content of a changed file is left to whoever reads it.
        """
        moved = {file.id: (file.old_path, file.new_path) for file in report.moved}
        here = [*report.unchanged, *(file.id for file in report.changed), *moved]
        here += (id_ for reason in _THERE for id_ in report.skipped.get(reason, ()))
        gone = await self._among(report.missing, Document.missing_since.is_(None))
        back = await self._among(here, Document.missing_since.is_not(None))
        now = utc_now()
        rows: list[dict[str, Any]] = [
            *({"id": id_, "path": new} for id_, (_, new) in moved.items()),
            *({"id": id_, "missing_since": now} for id_, _ in gone),
            *({"id": id_, "missing_since": None} for id_, _ in back),
        ]
        await bulk.update_many(
            self.session, fields_of(Document), rows, among=self.base_query().statement
        )
        events = [
            *(("missing", row, {}) for row in gone),
            *(("found", row, {}) for row in back),
            *(
                ("moved", row, dict(zip(("from", "to"), moved[row[0]], strict=True)))
                for row in await self._among([*moved])
            ),
        ]
        await self.add_events(
            {"action": action, "entity_id": id_, "project_id": project_id,
             "payload": payload}
            for action, (id_, project_id), payload in events
        )  # fmt: skip

    async def _among(
        self, ids: Iterable[int], *conditions: ColumnElement[bool]
    ) -> list[tuple[int, int]]:
        """
        Those documents, and their projects, that meet the conditions.
        """
        key: Any = Document.id
        chosen = any_of([key], [(id_,) for id_ in ids])
        found = select(Document.id, Document.project_id).where(chosen, *conditions)
        rows = await self.session.execute(found.order_by(key))
        return [(id_, project_id) for id_, project_id in rows]

    async def _root(self, repository_id: int | None) -> str:
        query = select(Repository.path).where(Repository.id == repository_id)
        path = await self.session.scalar(query)
        if path is None:
            raise InvalidDataError(
                "give the folder that paths start from: no repository says so",
                model="Document", field="root", value=None,
            )  # fmt: skip
        return path

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


# Why a file was not read that is there all the same.
_THERE: tuple[Skipped, ...] = ("binary", "too large")
_CHANGES = ["updated", "changed", "moved"]
