"""
What of a report on files is still so when it is written down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from project_architect_db.base import utc_now
from project_architect_db.domain.document_paths import Place, documents_at, place_of
from project_architect_db.domain.models import Document
from project_architect_db.domain.paths import is_clean
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.domain.file_reading import Skipped
    from project_architect_db.domain.files import FileReport, MovedFile

# Why a file was not read that is there all the same.
_THERE: tuple[Skipped, ...] = ("binary", "too large")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedFiles:
    """
    How many documents `note_files` has written something about.

    Attributes:
        moved: Those with a new path.
        missing: Those whose file is missing from now on.
        found: Those whose file is missing no more; may have moved, too.
        skipped: Those of the report that are gone or have another path by now, and
            those that cannot move as another document is there.
    """

    moved: int
    missing: int
    found: int
    skipped: int


class _Now(NamedTuple):
    """
    A document as it is when the report is written down.
    """

    id: int
    project_id: int
    repository_id: int | None
    path: str | None
    is_missing: bool


@dataclass(slots=True)
class FileNotes:
    """
    What is to be written about the files of documents.
    """

    moved: list[tuple[_Now, str]] = field(default_factory=list)
    missing: list[_Now] = field(default_factory=list)
    found: list[_Now] = field(default_factory=list)
    skipped: int = 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """
        The changes of documents.
        """
        now = utc_now()
        yield from ({"id": each.id, "path": new} for each, new in self.moved)
        yield from ({"id": each.id, "missing_since": now} for each in self.missing)
        yield from ({"id": each.id, "missing_since": None} for each in self.found)

    def events(self) -> Iterator[dict[str, Any]]:
        """
        What activity is to tell.
        """
        told: list[tuple[str, _Now, dict[str, Any]]] = [
            *(("missing", each, {}) for each in self.missing),
            *(("found", each, {}) for each in self.found),
            *(
                ("moved", each, {"from": each.path, "to": new})
                for each, new in self.moved
            ),
        ]
        for action, each, payload in told:
            yield {
                "action": action, "payload": payload,
                "entity_id": each.id, "project_id": each.project_id,
            }  # fmt: skip

    def counted(self) -> NotedFiles:
        """
        How many documents they are about.
        """
        return NotedFiles(
            moved=len(self.moved), missing=len(self.missing), found=len(self.found),
            skipped=self.skipped,
        )  # fmt: skip


async def take_notes(
    session: AsyncSession, report: FileReport, among: Select[Any]
) -> FileNotes:
    """
    Find out what of a report is news, and still so.

    Args:
        session: Where.
        report: May be old: documents go and move meanwhile.
        among: What finds all documents that may be changed.
    """
    notes = FileNotes()
    moves = {file.id: file for file in report.moved}
    here = [*report.unchanged, *(file.id for file in report.changed)]
    here += (id_ for reason in _THERE for id_ in report.skipped.get(reason, ()))
    others = [id_ for ids in report.skipped.values() for id_ in ids]
    told = {*here, *others, *report.missing, *moves}
    seen = report.checked | {id_: file.old_path for id_, file in moves.items()}
    now = await _as_they_are(session, told, among)
    now = {
        id_: each for id_, each in now.items() if seen.get(id_, each.path) == each.path
    }
    notes.moved = await _possible(session, moves, now)
    notes.missing = [
        now[id_] for id_ in report.missing if id_ in now and not now[id_].is_missing
    ]
    here += (each.id for each, _ in notes.moved)
    notes.found = [
        now[id_] for id_ in dict.fromkeys(here) if id_ in now and now[id_].is_missing
    ]
    stuck = {id_ for id_ in moves if id_ in now} - {each.id for each, _ in notes.moved}
    notes.skipped = len(told) - len(now) + len(stuck)
    return notes


async def _as_they_are(
    session: AsyncSession, ids: set[int], among: Select[Any]
) -> dict[int, _Now]:
    key: Any = Document.id
    columns = (
        key, Document.project_id, Document.repository_id, Document.path,
        Document.missing_since.is_not(None),
    )  # fmt: skip
    chosen = any_of([key], [(id_,) for id_ in ids])
    found = among.with_only_columns(*columns, maintain_column_froms=True)
    rows = await session.execute(found.where(chosen).order_by(None).order_by(key))
    return {row[0]: _Now(*row) for row in rows}


async def _possible(
    session: AsyncSession, moves: Mapping[int, MovedFile], now: Mapping[int, _Now]
) -> list[tuple[_Now, str]]:
    """
    The moves to a path that no other document has, and that one may have.
    """
    wanted: dict[Place, int] = {}
    for id_, file in moves.items():
        if id_ in now and is_clean(file.new_path):
            each = now[id_]
            place = place_of(each.project_id, each.repository_id, file.new_path)
            wanted.setdefault(place, id_)
    taken = await documents_at(session, wanted)
    return [
        (now[id_], place.path) for place, id_ in wanted.items() if place not in taken
    ]
