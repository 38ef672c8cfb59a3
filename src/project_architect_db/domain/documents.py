"""
The repository of documents.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select

from project_architect_db.dialect.database import open_files
from project_architect_db.domain.arguments import (
    require_fitting,
    require_folder,
    require_text,
)
from project_architect_db.domain.document_paths import UniquePaths, find_owner
from project_architect_db.domain.file_notes import NotedFiles, take_notes
from project_architect_db.domain.files import FileReport, KnownFile, check_files
from project_architect_db.domain.models import Activity, Document, Repository
from project_architect_db.domain.paths import clean_path, resolve_path
from project_architect_db.domain.schemas import DocumentCreate, DocumentUpdate
from project_architect_db.domain.search import DocumentSearch, SearchResult
from project_architect_db.domain.vocabulary import DOCUMENT_KINDS
from project_architect_db.engine.address import wal_of
from project_architect_db.errors import (
    InvalidDataError,
    NotFoundError,
    UnsafePathError,
)
from project_architect_db.orm import bulk
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.refusals import each_of

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


class DocumentRepository(UniquePaths):
    """
    Documents, their files, and full-text search in them.

    In a repository, or in a project for documents of none, no two have the same path:
    `create`, `update`, `upsert` and `move` ask for that with one small query, and
    `bulk_create` with one or two for all rows. The other bulk methods do not ask.

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
    vocabularies = {"kind": DOCUMENT_KINDS}

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
            filters["kind"] = kind
        self._require_words(**filters)
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

        The path may be written as `create` takes it, such as ``./docs//plan.md``.

        Raises:
            InvalidDataError: It is no text, or an id none.
        """
        require_text(path, model="Document", field="path")
        with suppress(UnsafePathError):  # the importer has some that others may not
            path = clean_path(path)
        repository_id = self._fitting(repository_id, Document.repository_id)
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
        if path is None:
            raise InvalidDataError(
                "give the path to move to; update() can take it away",
                model="Document", field="path", value=None,
            )  # fmt: skip
        changes = DocumentUpdate(path=path).changes()
        return await self._change(await self.get_one(id), changes)

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
        self._require_root(root)
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
            project_id: … or those of this project that are of no repository. Without
                either, the root tells the repository that is there; if there is
                none, the documents are those of the only project that has some of
                no repository.
            progress: Called with the number of documents looked at so far, and of all.

        Raises:
            InvalidDataError: There is nothing that paths start from, or without
                either id it may be the documents of several that are meant.
            ConfigurationError: The root is no folder.
        """
        self._require_root(root)
        repository_id = self._fitting(repository_id, Document.repository_id)
        project_id = self._fitting(project_id, Document.project_id)
        if root is not None and repository_id is None and project_id is None:
            repository_id, project_id = await find_owner(self.session, root)
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

    async def note_files(self, report: FileReport) -> NotedFiles:
        """
        Write what `check_files` has found: new paths, and since when files are missing.

        The content of a changed file is left to whoever reads it. A report may be old:
        nothing is written about documents that are gone or have another path by now,
        and none moves to where another is.

        Returns:
            How many documents were moved, missing, found and skipped.

        Raises:
            InvalidDataError: It is no such report.
        """
        if not isinstance(report, FileReport):
            raise InvalidDataError(
                f"expected what check_files() gives, not {type(report).__name__}",
                model="Document", field="report", value=report,
            )  # fmt: skip
        among = self.base_query().statement
        notes = await take_notes(self.session, report, among)
        await bulk.update_many(
            self.session, fields_of(Document), notes.rows(), among=among
        )
        await self._write_events(notes.events())
        return notes.counted()

    def _require_root(self, root: object) -> None:
        if root is not None:
            require_folder(root, model="Document", field="root")

    def _fitting(self, id: int | None, column: Any) -> int | None:
        """
        The id of a project or a repository, if there is one.
        """
        if id is None:
            return None
        return int(require_fitting(id, column, model="Document", field=column.key))

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
        keys = self._fields.keys_of([*each_of(self._fields, ids)])
        rows = await self._select(dict.fromkeys(key for (key,) in keys), "id")
        await self._write_events(
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
        id = self._key(id)
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
