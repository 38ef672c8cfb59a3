"""
Which document has which path: in one place there is one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from project_architect_db.domain.linked_documents import LinkedDocuments
from project_architect_db.domain.models import Document, Repository
from project_architect_db.domain.paths import readable_name, real_folder
from project_architect_db.errors import DuplicateError, InvalidDataError, row_number
from project_architect_db.orm.bulk_checks import any_of
from project_architect_db.orm.staleness import flush_others

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.incoming import Data


class Place(NamedTuple):
    """
    Where a path starts: in a repository, or in a project, for those of no repository.
    """

    project_id: int | None
    repository_id: int | None
    path: str


_PLACE = Place._fields


def place_of(project_id: int | None, repository_id: int | None, path: str) -> Place:
    """
    The place of a document, the same for all documents that are there.
    """
    return Place(None if repository_id else project_id, repository_id, path)


class UniquePaths(LinkedDocuments):
    """
    A repository of documents that refuses a second one in the same place.
    """

    async def _create(self, values: dict[str, Any]) -> Document:
        if values.get("path") is not None:
            await self._require_free(place_of(*map(values.get, _PLACE)))  # type: ignore[arg-type]
        return await super()._create(values)

    async def _change(
        self, record: Document, changes: Mapping[str, Any], expected: Any = None
    ) -> Document:
        before = {name: getattr(record, name) for name in _PLACE}
        after = {name: changes.get(name, value) for name, value in before.items()}
        if after != before and after["path"] is not None:
            await self._require_free(place_of(**after))
        return await super()._change(record, changes, expected)

    async def bulk_create(
        self, data_list: Iterable[Data], *, progress: Progress | None = None
    ) -> list[Document]:
        """
        Add many documents, and one event with their number.

        Raises:
            DuplicateError: Another document has this path; `index` says which row.
            InvalidDataError: One names a repository of another project, or a value
                does not fit; `index` says of which row.
        """
        return await super().bulk_create(data_list, progress=progress)

    async def _require_new(self, rows: Sequence[Mapping[str, Any]]) -> None:
        await super()._require_new(rows)
        first: dict[Place, int] = {}
        for index, row in enumerate(rows):
            if row.get("path") is not None:
                place = place_of(*map(row.get, _PLACE))  # type: ignore[arg-type]
                if first.setdefault(place, index) != index:
                    raise _refusal(place, index)
        for place in await documents_at(self.session, first):
            raise _refusal(place, first[place])

    async def _require_free(self, place: Place) -> None:
        there = select(Document.id).where(
            Document.path == place.path,
            Document.repository_id.is_not_distinct_from(place.repository_id),
        )
        if place.repository_id is None:
            there = there.where(Document.project_id == place.project_id)
        await flush_others(self.session)
        if any(isinstance(each, Document) for each in self.session.new):
            await self.session.flush()
        with self.session.no_autoflush:  # events may wait for the flush to come
            found = await self.session.scalar(there.limit(1))
        if found is not None:
            raise _refusal(place)


def _refusal(place: Place, index: int | None = None) -> DuplicateError:
    key = f"path: {place.path}"
    message = f"{row_number(index)}there is a Document with {key}"
    error = DuplicateError(message, key=key)
    error.model, error.field, error.index = "Document", "path", index
    return error


async def documents_at(session: AsyncSession, places: Collection[Place]) -> list[Place]:
    """
    Those of the places where there is a document, in two queries at most.
    """
    taken = []
    path: Any = Document.path
    for owner in (Document.repository_id, Document.project_id):
        name = owner.key
        chosen = [place for place in places if getattr(place, name) is not None]
        if chosen:
            keys = [(getattr(place, name), place.path) for place in chosen]
            found = select(owner, path).where(any_of([owner, path], keys))  # type: ignore[list-item]
            if owner is Document.project_id:
                found = found.where(Document.repository_id.is_(None))
            there = {tuple(row) for row in await session.execute(found)}
            taken += [p for p, key in zip(chosen, keys, strict=True) if key in there]
    return taken


async def find_owner(
    session: AsyncSession, root: str | os.PathLike[str]
) -> tuple[int | None, int | None]:
    """
    Whose documents start from a folder: those of a repository, or else of a project.

    Raises:
        InvalidDataError: It may be those of several.
    """
    real = await asyncio.to_thread(real_folder, root)
    paths = {os.fspath(root), readable_name(os.fsencode(real))}
    repositories = [
        *await session.scalars(select(Repository.id).where(Repository.path.in_(paths)))
    ]
    loose = select(Document.project_id).where(
        Document.path.is_not(None), Document.repository_id.is_(None)
    )
    projects = [*await session.scalars(loose.distinct().limit(2))]
    if len(repositories) + len(projects) > 1:
        raise InvalidDataError(
            "say whose documents are meant, with repository_id or project_id: there "
            "are those of several in question",
            model="Document", field="project_id", value=None,
        )  # fmt: skip
    return next(iter(repositories), None), next(iter(projects), None)
