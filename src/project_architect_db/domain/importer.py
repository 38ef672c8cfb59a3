"""
A git working tree into rows: its project, repository, files and history.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from project_architect_db.domain.git_tree import read_repository
from project_architect_db.domain.import_documents import import_documents
from project_architect_db.domain.import_history import import_history
from project_architect_db.domain.import_report import ImportReport
from project_architect_db.domain.import_turns import turn
from project_architect_db.domain.models import Project, Repository

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from project_architect_db.domain.git_tree import RepositoryFacts
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

__all__ = ["ImportReport", "import_working_tree"]

_GITHUB = re.compile(
    r"(?:(?:https?|git|ssh)://(?:[^/@]*@)?(?:(?:www|ssh)\.)?github\.com(?::\d+)?/"
    r"|(?:[^/@]+@)?github\.com:/?)"
    r"([a-z0-9-]{1,39}/[a-z0-9._-]{1,100}?)(?:\.git)?/?",
    re.IGNORECASE,
)


async def import_working_tree(
    engine: DatabaseEngine, path: str | os.PathLike[str], *,
    progress: Callable[[int, int], None] | None = None,
    history_progress: Callable[[int, int], None] | None = None,
) -> ImportReport:  # fmt: skip
    """
    Read the git working tree that `path` is in, and write what is new or changed.

    The repository is recognised by where it is, a document by its path in it, a
    commit by its hash; so a second import updates. Each batch is a transaction of its
    own, so that other writers get their turn; an import that was broken off, even by
    the end of its process, is completed by the next one. One import of a tree runs at
    a time: another one waits for it.

    Commits, their changes of files and the tags become `Activity`, with the times and
    authors that git has; the commits between two tags become a conversation, whose
    messages are theirs. What the branch checked out does not contain is no part of
    that, except tags: a commit that was amended or rebased away is forgotten.

    Args:
        engine: Where to write; its tables have to exist.
        path: The working tree, or any folder in it.
        progress: Called with the number of files read so far and of all files.
        history_progress: Called with the number of commits read so far and of all
            that are new; the files come first.

    Raises:
        NotARepositoryError: There is no git working tree.
        GitNotFoundError: git is not installed.
        GitError: git failed.
    """
    facts = await read_repository(path)
    async with turn(engine, facts.location) as waited:
        if waited:
            facts = await read_repository(path)
        async with engine.transaction() as session:
            report = await _write_repository(session, facts)
        await import_documents(engine, facts, report, progress)
        await import_history(engine, facts, report, history_progress)
    return report


async def _write_repository(
    session: ArchitectSession, facts: RepositoryFacts
) -> ImportReport:
    repository = await session.scalar(
        select(Repository)
        .where(Repository.path == facts.location)
        .order_by(Repository.id)
        .limit(1)
    )
    if repository is None:
        return await _create(session, facts)
    report = ImportReport(repository.project_id, repository.id)
    columns = _columns(facts, repository.github)
    changed = [name for name in columns if getattr(repository, name) != columns[name]]
    for name in changed:
        setattr(repository, name, columns[name])
    if changed:
        event = {
            "entity": "repository", "entity_id": repository.id, "action": "updated",
            "payload": {"fields": changed},
        }  # fmt: skip
        await report.record(session, [event])
    return report


async def _create(session: ArchitectSession, facts: RepositoryFacts) -> ImportReport:
    project = Project(
        name=facts.name[:255],
        project_idea=f"What is being built in {facts.location}",
        status="active",
    )
    session.add(project)
    await session.flush()
    repository = Repository(
        project_id=project.id, path=facts.location, **_columns(facts, None)
    )
    session.add(repository)
    await session.flush()
    report = ImportReport(project.id, repository.id)
    await report.record(session, [
        {
            "entity": "project", "entity_id": project.id, "action": "created",
            "payload": {"status": project.status},
        },
        {"entity": "repository", "entity_id": repository.id, "action": "created"},
    ])  # fmt: skip
    return report


def _columns(facts: RepositoryFacts, github: dict[str, Any] | None) -> dict[str, Any]:
    """
    What git says of a repository, and its name on GitHub beside what is known of it.
    """
    found = _GITHUB.fullmatch(facts.remote_url or "")
    if found is None:
        github = None
    elif github is None or github.get("full_name", "").lower() != found[1].lower():
        github = {"full_name": found[1]}
    return {
        "name": facts.name[:255],
        "url": facts.remote_url,
        "branch": facts.branch,
        "default_branch": facts.default_branch,
        "head_commit": facts.head,
        "commit_count": facts.commit_count,
        "first_commit_at": facts.first_commit_at,
        "last_commit_at": facts.last_commit_at,
        "contributors": [asdict(person) for person in facts.contributors],
        "commits_per_month": facts.commits_per_month,
        "github": github,
    }
