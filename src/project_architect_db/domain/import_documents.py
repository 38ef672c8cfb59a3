"""
The files of a working tree into documents.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, bindparam, delete, insert, select, update

from project_architect_db.domain.git_tree import count_documents, read_documents
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

_ID: ColumnElement[int] = Document.id.expression
_Known = dict[str, tuple[int, str | None, str]]
"""The id, checksum and kind of documents by their paths."""


async def import_documents(
    engine: DatabaseEngine, facts: RepositoryFacts, report: ImportReport,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """
    Write what is new or changed, and remove what is gone.

    A document is recognised by its path in the repository. Its title and kind are left
    as they are, and one whose file is there and cannot be read is left whole.
    """
    own_files = engine.files()
    total = await count_documents(facts.root, exclude=own_files)
    async with engine.session() as session:
        known = await _known_documents(session, report.repository_id)
    done = 0
    async for batch in read_documents(facts.root, exclude=own_files):
        async with engine.transaction() as session:
            await _write_documents(session, batch, known, report)
        done += len(batch)
        if progress is not None:
            progress(done, total)
    # What is of another kind was not made here, or somebody has made it his own.
    gone = [(id_,) for id_, _, kind in known.values() if kind == IMPORTED]
    async with engine.transaction() as session:
        statement = delete(Document).where(any_of([_ID], gone))
        await session.execute(statement, execution_options=UNSEEN)
        await report.record_count(session, "document", "deleted", len(gone))
    report.removed = len(gone)


async def _known_documents(session: ArchitectSession, repository_id: int) -> _Known:
    columns = (Document.path, Document.id, Document.checksum, Document.kind)
    rows = await session.execute(
        select(*columns).where(
            Document.repository_id == repository_id, Document.path.is_not(None)
        )
    )
    return {str(path): (id_, checksum, kind) for path, id_, checksum, kind in rows}


async def _write_documents(
    session: ArchitectSession, batch: Sequence[DocumentFacts],
    known: _Known, report: ImportReport,
) -> None:  # fmt: skip
    """
    Insert and update documents, and take what was met out of `known`.
    """
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for file in batch:
        if file.skipped is not None:
            report.skipped[file.skipped] = report.skipped.get(file.skipped, 0) + 1
            if file.skipped in STILL_THERE:  # so is what was read of it before
                known.pop(file.path, None)
            continue
        id_, checksum, _ = known.pop(file.path, (None, None, None))
        if id_ is None:
            owner = {
                "project_id": report.project_id,
                "repository_id": report.repository_id,
            }
            title = PurePosixPath(file.path).name[:255]
            facts = {"title": title, "path": file.path, "kind": IMPORTED}
            new.append({**owner, **facts, **_columns(file)})
        elif checksum != file.sha256:
            changed.append({"document_id": id_, **_columns(file)})
        else:
            report.unchanged += 1
    if new:
        await session.execute(insert(Document), new, execution_options=AS_ONE)
    if changed:
        statement = update(Document).where(Document.id == bindparam("document_id"))
        connection = await session.connection()  # the ORM would want the key itself
        await connection.execute(statement, changed)
    await report.record_count(session, "document", "created", len(new))
    await report.record_count(session, "document", "updated", len(changed))
    report.added += len(new)
    report.updated += len(changed)


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
