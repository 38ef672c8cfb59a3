"""
A git working tree into rows: its project, its repository, its text files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, select, update

from project_architect_db.domain.git_tree import (
    count_documents,
    read_documents,
    read_repository,
)
from project_architect_db.domain.models import Document, Project, Repository

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from project_architect_db.domain.git_tree import DocumentFacts, RepositoryFacts
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

IDS_PER_DELETE = 1_000


@dataclass(slots=True)
class ImportReport:
    """
    What an import did.

    Attributes:
        project_id: The project, created by the first import of this tree.
        repository_id: The repository in it.
        added: Documents that were new.
        updated: Documents whose file had changed.
        unchanged: Documents left as they were.
        removed: Documents whose file is gone.
        skipped: Files that are no text, by reason.
    """

    project_id: int
    repository_id: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


async def import_working_tree(
    engine: DatabaseEngine, path: str | os.PathLike[str], *,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:  # fmt: skip
    """
    Read the git working tree that `path` is in, and write what is new or changed.

    The repository is recognised by where it is, a document by its path in it; so
    a second import updates. Each batch of files is a transaction of its own, so
    that other writers get their turn; an import that was broken off is completed
    by the next one.

    Args:
        engine: Where to write; its tables have to exist.
        path: The working tree, or any folder in it.
        progress: Called with the number of files read so far and of all files.

    Raises:
        NotARepositoryError: There is no git working tree.
        GitNotFoundError: git is not installed.
        GitError: git failed.
    """
    facts = await read_repository(path)
    own_files = engine.files()
    total = await count_documents(facts.root, exclude=own_files)
    async with engine.transaction() as session:
        report = await _write_repository(session, facts)
        known = await _known_documents(session, report.repository_id)
    done = 0
    async for batch in read_documents(facts.root, exclude=own_files):
        async with engine.transaction() as session:
            await _write_documents(session, batch, known, report)
        done += len(batch)
        if progress is not None:
            progress(done, total)
    async with engine.transaction() as session:
        await _remove_documents(session, [id_ for id_, _ in known.values()])
    report.removed = len(known)
    return report


async def _write_repository(
    session: ArchitectSession, facts: RepositoryFacts
) -> ImportReport:
    repository = await session.scalar(
        select(Repository).where(Repository.path == facts.location)
    )
    if repository is None:
        project = Project(
            name=facts.name[:255],
            project_idea=f"What is being built in {facts.location}",
            status="active",
        )
        session.add(project)
        await session.flush()
        repository = Repository(project_id=project.id, path=facts.location)
        session.add(repository)
    repository.name = facts.name[:255]
    repository.url = facts.remote_url
    repository.branch = facts.branch
    repository.head_commit = facts.head
    repository.commit_count = facts.commit_count
    repository.first_commit_at = facts.first_commit_at
    repository.last_commit_at = facts.last_commit_at
    repository.contributors = [asdict(person) for person in facts.contributors]
    repository.commits_per_month = facts.commits_per_month
    await session.flush()
    return ImportReport(repository.project_id, repository.id)


async def _known_documents(
    session: ArchitectSession, repository_id: int
) -> dict[str, tuple[int, str | None]]:
    rows = await session.execute(
        select(Document.path, Document.id, Document.checksum).where(
            Document.repository_id == repository_id
        )
    )
    return {str(path): (id_, checksum) for path, id_, checksum in rows}


async def _write_documents(
    session: ArchitectSession, batch: Sequence[DocumentFacts],
    known: dict[str, tuple[int, str | None]], report: ImportReport,
) -> None:  # fmt: skip
    """
    Insert and update documents, and take what was met out of `known`.
    """
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for file in batch:
        if file.skipped is not None:
            report.skipped[file.skipped] = report.skipped.get(file.skipped, 0) + 1
            continue
        id_, checksum = known.pop(file.path, (None, None))
        if id_ is None:
            owner = {
                "project_id": report.project_id,
                "repository_id": report.repository_id,
            }
            new.append({**owner, **_columns(file)})
        elif checksum != file.sha256:
            changed.append({"document_id": id_, **_columns(file)})
        else:
            report.unchanged += 1
    if new:
        await session.execute(insert(Document), new)
    if changed:
        statement = update(Document).where(Document.id == bindparam("document_id"))
        connection = await session.connection()  # the ORM would want the key itself
        await connection.execute(statement, changed)
    report.added += len(new)
    report.updated += len(changed)


def _columns(file: DocumentFacts) -> dict[str, Any]:
    return {
        "title": PurePosixPath(file.path).name[:255],
        "path": file.path,
        "kind": "file",
        "language": file.language,
        "content": file.content,
        "encoding": file.encoding,
        "checksum": file.sha256,
        "size": file.size,
        "lines": file.lines,
    }


async def _remove_documents(session: ArchitectSession, ids: Sequence[int]) -> None:
    for start in range(0, len(ids), IDS_PER_DELETE):
        chosen = ids[start : start + IDS_PER_DELETE]
        await session.execute(delete(Document).where(Document.id.in_(chosen)))
