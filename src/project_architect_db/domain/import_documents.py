"""
The files of a working tree into documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, select, update

from project_architect_db.domain.git_tree import list_documents, read_documents
from project_architect_db.domain.import_moves import (
    Known,
    move_documents,
    read_known,
    title_of,
)
from project_architect_db.domain.import_report import AS_ONE, UNSEEN, ImportReport
from project_architect_db.domain.models import Document
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from project_architect_db.domain.git_tree import DocumentFacts, RepositoryFacts
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

IMPORTED = "file"
"""The kind of a document that an import has made and may remove again."""

STILL_THERE = frozenset({"binary", "too large", "unreadable"})
"""Why a file was not read that is there all the same."""

NAMED = 100
"""Of how many removed documents activity says which they were."""

_ID: ColumnElement[int] = Document.id.expression


async def import_documents(
    engine: DatabaseEngine, facts: RepositoryFacts, report: ImportReport,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """
    Write what is new or changed, and remove what is gone.

    A document is recognised by its path in the repository, and if that is gone, by its
    content in a new file. Its title and kind are left as they are, and one whose file
    is there and cannot be read is left whole.
    """
    own_files = engine.files()
    listed = await list_documents(facts.root, exclude=own_files)
    async with engine.session() as session:
        known = await read_known(session, report.repository_id)
    await move_documents(engine, facts, report, known, listed)
    done = 0
    async for batch in read_documents(facts.root, exclude=own_files):
        async with engine.transaction() as session:
            await _write_documents(session, batch, known, report)
        done += len(batch)
        if progress is not None:
            progress(done, len(listed))
    async with engine.transaction() as session:
        await _remove(session, known, report)


async def _remove(
    session: ArchitectSession, known: Known, report: ImportReport
) -> None:
    """
    Remove the documents whose file was not met.
    """
    # What is of another kind was not made here, or somebody has made it his own.
    keys = [(each.id,) for each in known.values() if each.kind == IMPORTED]
    gone = and_(any_of([_ID], keys), Document.kind == IMPORTED)
    rows = await session.execute(select(_ID, Document.path).where(gone))
    found = sorted(((str(path), id_) for id_, path in rows))
    await session.execute(delete(Document).where(gone), execution_options=UNSEEN)
    await report.record_count(
        session, "document", "deleted", len(found),
        ids=[id_ for _, id_ in found[:NAMED]],
        paths=[path for path, _ in found[:NAMED]],
    )  # fmt: skip
    report.removed = len(found)


async def _write_documents(
    session: ArchitectSession, batch: Sequence[DocumentFacts],
    known: Known, report: ImportReport,
) -> None:  # fmt: skip
    """
    Insert and update documents, and take what was met out of `known`.
    """
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    found: list[int] = []
    for file in batch:
        there = file.skipped is None or file.skipped in STILL_THERE
        document = known.pop(file.path, None) if there else None
        if document is not None and document.missing:
            found.append(document.id)
        if file.skipped is not None:
            report.skipped[file.skipped] = report.skipped.get(file.skipped, 0) + 1
        elif document is None:
            new.append(_row(file, report))
        elif document.checksum != file.sha256:
            changed.append({"document_id": document.id, **_columns(file)})
        elif not document.moved:
            report.unchanged += 1
    if new:
        await session.execute(insert(Document), new, execution_options=AS_ONE)
    if changed:
        statement = update(Document).where(Document.id == bindparam("document_id"))
        connection = await session.connection()  # the ORM would want the key itself
        await connection.execute(statement, changed)
    await _note_found(session, found, report)
    await report.record_count(session, "document", "created", len(new))
    await report.record_count(session, "document", "updated", len(changed))
    report.added += len(new)
    report.updated += len(changed)


async def _note_found(
    session: ArchitectSession, ids: Sequence[int], report: ImportReport
) -> None:
    """
    Say of documents that their file, which was missing, is there again.
    """
    if ids:
        back = any_of([_ID], [(id_,) for id_ in ids])
        statement = update(Document).where(back).values(missing_since=None)
        await session.execute(statement, execution_options=UNSEEN)
    events = [{"entity": "document", "entity_id": i, "action": "found"} for i in ids]
    await report.record(session, events)


def _row(file: DocumentFacts, report: ImportReport) -> dict[str, Any]:
    """
    A new document.
    """
    return {
        "project_id": report.project_id,
        "repository_id": report.repository_id,
        "title": title_of(file.path),
        "path": file.path,
        "kind": IMPORTED,
        **_columns(file),
    }


def _columns(file: DocumentFacts) -> dict[str, Any]:
    """
    What the bytes of a file say; title and kind are anybody's to change.
    """
    return {
        "language": file.language,
        "content": file.content,
        "encoding": file.encoding,
        "checksum": file.sha256,
        "size": file.size,
        "lines": file.lines,
    }
