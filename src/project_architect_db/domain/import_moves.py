"""
Documents whose file has another path now: the file was renamed, the document stays.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, select, update

from project_architect_db.domain.git_tree import (
    find_sizes,
    read_contents,
)
from project_architect_db.domain.languages import language_of
from project_architect_db.domain.models import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from project_architect_db.domain.git_tree import RepositoryFacts
    from project_architect_db.domain.import_report import ImportReport
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

_Content = tuple[int, str]


class KnownDocument(NamedTuple):
    """
    What the database knows of the file of a document.
    """

    id: int
    title: str
    kind: str
    checksum: str | None
    size: int
    missing: bool
    moved: bool = False

    @property
    def content(self) -> _Content | None:
        """
        What tells its content from others; an empty file is like every other.
        """
        if self.checksum is None or not self.size:
            return None
        return self.size, self.checksum


Known = dict[str, KnownDocument]
"""The documents of a repository by their paths."""


async def read_known(session: ArchitectSession, repository_id: int) -> Known:
    """
    The documents of a repository that have a path; of two with the same, the older.
    """
    rows = await session.execute(
        select(
            Document.path, Document.id, Document.title, Document.kind,
            Document.checksum, Document.size, Document.missing_since.is_not(None),
        )
        .where(Document.repository_id == repository_id, Document.path.is_not(None))
        .order_by(Document.id.desc())
    )  # fmt: skip
    return {str(row[0]): KnownDocument(*row[1:]) for row in rows}


async def move_documents(
    engine: DatabaseEngine, facts: RepositoryFacts, report: ImportReport,
    known: Known, listed: Mapping[str, bytes],
) -> None:  # fmt: skip
    """
    Give documents the path that their file has now, and tell `known` of it.

    A file has moved if it is at its old path no more, one that no document has is of
    the same content, and there is no doubt which: of several with this content, those
    are paired that alone are called so, and then the last two, if two are left.

    Args:
        engine: Where to write.
        facts: The repository.
        report: Told how many were moved.
        known: Its documents.
        listed: Its files.
    """
    if not known or known.keys() >= listed.keys():
        return
    there = await find_sizes(facts.root, listed)
    lost = {path: each for path, each in known.items() if path not in there}
    sizes = {each.size for each in lost.values() if each.content is not None}
    new = {
        path: listed[path]
        for path, size in there.items()
        if path not in known and size in sizes
    }
    found = await read_contents(facts.root, new, exclude=engine.files())
    moved = dict(await asyncio.to_thread(lambda: sorted(_pairs(lost, found))))
    if not moved:
        return
    async with engine.transaction() as session:
        current = await read_known(session, report.repository_id)
        moved = {
            old: new for old, new in moved.items()
            if current.get(old) == known[old] and new not in current
        }  # fmt: skip
        await _write(session, report, known, moved)
    for old, path in moved.items():
        known[path] = known.pop(old)._replace(moved=True, missing=False)
    report.moved = len(moved)


async def _write(
    session: ArchitectSession, report: ImportReport, known: Known,
    moved: Mapping[str, str],
) -> None:  # fmt: skip
    statement = update(Document).where(Document.id == bindparam("document_id"))
    rows = [
        {
            "document_id": known[old].id, "path": new, "language": language_of(new),
            "title": _title(known[old].title, old, new), "missing_since": None,
        }
        for old, new in moved.items()
    ]  # fmt: skip
    if rows:
        connection = await session.connection()  # the ORM would want the key itself
        await connection.execute(statement, rows)
    events: list[dict[str, Any]] = [
        {
            "action": "moved",
            "entity_id": known[old].id,
            "payload": {"from": old, "to": new},
        }
        for old, new in moved.items()
    ]
    events += [
        {"action": "found", "entity_id": known[old].id}
        for old in moved
        if known[old].missing
    ]
    await report.record(session, [{"entity": "document", **each} for each in events])


def _title(title: str, old: str, new: str) -> str:
    """
    The title of a moved document: the name of its file, unless somebody gave another.
    """
    return title_of(new) if title == title_of(old) else title


def title_of(path: str) -> str:
    """
    What a document is called that an import makes.
    """
    return PurePosixPath(path).name[:255]


def _pairs(
    lost: Mapping[str, KnownDocument], found: Mapping[str, _Content]
) -> Iterator[tuple[str, str]]:
    """
    The old and the new path of those files of which there is no doubt.
    """
    old: defaultdict[_Content, list[str]] = defaultdict(list)
    new: defaultdict[_Content, list[str]] = defaultdict(list)
    for path, document in lost.items():
        if document.content is not None:
            old[document.content].append(path)
    for path, content in found.items():
        new[content].append(path)
    for content in old.keys() & new.keys():
        yield from _same_name(old[content], new[content])
        if len(old[content]) == len(new[content]) == 1:
            yield old[content][0], new[content][0]


def _same_name(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    """
    Take out of both those that alone have their name.
    """
    named: defaultdict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for side, paths in enumerate((old, new)):
        for path in paths:
            named[PurePosixPath(path).name][side].append(path)
    for before, after in named.values():
        if len(before) == len(after) == 1:
            old.remove(before[0])
            new.remove(after[0])
            yield before[0], after[0]
