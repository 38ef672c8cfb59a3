"""
The history of a working tree into activity and conversations.

What has been imported is what is in the activity, and nothing else: each batch writes
commits, what they changed and their messages in one transaction, and which commits
come next is found by comparing their hashes with those that git has. So nothing is
doubled or lost wherever an import ends, nothing is kept of a history that has been
rewritten since, and older commits that a shallow clone fetches later are added.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, and_, delete, or_, select

from project_architect_db.domain.git_history import (
    read_boundary,
    read_commits,
    read_graph,
    read_tags,
)
from project_architect_db.domain.import_conversations import ReleaseConversations
from project_architect_db.domain.import_messages import HASH, message_of
from project_architect_db.domain.import_plan import plan_stretches
from project_architect_db.domain.import_report import UNSEEN, ImportReport
from project_architect_db.domain.models import Activity, Document
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from project_architect_db.domain.git_history import Commit, FileChange, Tag
    from project_architect_db.domain.git_tree import RepositoryFacts
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

COMMITS_PER_BATCH = 400


@dataclass(slots=True)
class _Import:
    """
    What the batches of one import share.
    """

    report: ImportReport
    new: list[str]
    place: dict[str, int]
    conversations: ReleaseConversations
    documents: dict[str, int]


async def import_history(
    engine: DatabaseEngine, facts: RepositoryFacts, report: ImportReport,
    progress: Callable[[int, int], None] | None = None,
) -> None:  # fmt: skip
    """
    Write the commits and tags that are new, and forget those that are gone.
    """
    tags = await read_tags(facts.root)
    graph = await read_graph(facts.root, facts.head)
    tags = [tag for tag in tags if tag.hash in graph]
    boundary = await read_boundary(facts.root) if facts.shallow else frozenset()
    stretches = await asyncio.to_thread(plan_stretches, graph, facts.head, tags)
    del graph
    place = {h: number for number, part in enumerate(stretches) for h in part.hashes}
    async with engine.transaction() as session:
        known = await _known_commits(session, report.repository_id)
        gone = {
            h for h, cut_off in known.items()
            if h not in place or (cut_off and h not in boundary)
        }  # fmt: skip
        work = _Import(
            report, [h for h in place if h not in known or h in gone], place,
            ReleaseConversations(report, stretches, place),
            await _document_ids(session, report.repository_id),
        )  # fmt: skip
        moved = await _write_releases(session, report, tags)
        if work.new or gone or moved:
            await work.conversations.arrange(session, gone)
        await _forget(session, report, gone)
    for start in range(0, len(work.new), COMMITS_PER_BATCH):
        chosen = work.new[start : start + COMMITS_PER_BATCH]
        commits = await read_commits(facts.root, chosen, boundary=boundary)
        async with engine.transaction() as session:
            await _write_commits(session, commits, work)
        if progress is not None:
            progress(start + len(chosen), len(work.new))


def _events_of(repository_id: int, action: str) -> ColumnElement[bool]:
    return and_(
        Activity.entity == "repository",
        Activity.entity_id == repository_id,
        Activity.action == action,
    )


async def _known_commits(
    session: ArchitectSession, repository_id: int
) -> dict[str, bool]:
    """
    The commits that are in, and whether they were at the end of a shallow clone.
    """
    cut_off = Activity.payload["cut_off"].as_boolean()
    rows = await session.stream(
        select(HASH, cut_off).where(_events_of(repository_id, "commit"))
    )
    return {hash_: bool(cut) async for hash_, cut in rows}


async def _document_ids(
    session: ArchitectSession, repository_id: int
) -> dict[str, int]:
    rows = await session.execute(
        select(Document.path, Document.id).where(
            Document.repository_id == repository_id, Document.path.is_not(None)
        )
    )
    return {path: id_ for path, id_ in rows if path is not None}


async def _forget(
    session: ArchitectSession, report: ImportReport, gone: Collection[str]
) -> None:
    """
    Remove what was written about commits that are no part of the history any more.
    """
    if not gone:
        return
    changes = and_(
        Activity.project_id == report.project_id,
        Activity.action == "changed",
        Activity.payload["repository_id"].as_integer() == report.repository_id,
    )
    commits = _events_of(report.repository_id, "commit")
    await session.execute(
        delete(Activity).where(
            or_(commits, changes), any_of([HASH], [(hash_,) for hash_ in gone])
        ),
        execution_options=UNSEEN,
    )
    report.forgotten = len(gone)


async def _write_releases(
    session: ArchitectSession, report: ImportReport, tags: Iterable[Tag]
) -> bool:
    """
    Have a release for each tag, where it is now; return whether anything changed.
    """
    rows = await session.execute(
        select(
            Activity.payload["tag"].as_string(), HASH, Activity.occurred_at,
            Activity.id,
        ).where(_events_of(report.repository_id, "release"))
    )  # fmt: skip
    known = {(name, hash_, at): id_ for name, hash_, at, id_ in rows}
    new = [
        {
            "entity": "repository", "entity_id": report.repository_id,
            "action": "release", "actor": tag.tagger and tag.tagger[:255],
            "payload": {"tag": tag.name, "hash": tag.hash}, "occurred_at": tag.at,
        }
        for tag in tags if known.pop((tag.name, tag.hash, tag.at), None) is None
    ]  # fmt: skip
    if known:
        await session.execute(
            delete(Activity).where(Activity.id.in_(known.values())),
            execution_options=UNSEEN,
        )
    await report.record(session, new)
    report.releases = len(new)
    return bool(new or known)


async def _write_commits(
    session: ArchitectSession, commits: Sequence[Commit], work: _Import
) -> None:
    """
    Write a batch: its commits, what they changed, and their messages.
    """
    events = await asyncio.to_thread(lambda: [*_events(commits, work)])
    await work.report.record(session, events)
    told = await work.conversations.told(session, [commit.hash for commit in commits])
    grouped = itertools.groupby(commits, lambda commit: work.place[commit.hash])
    for number, members in grouped:
        messages = [
            message_of(commit, work.report.repository_id)
            for commit in members if commit.hash not in told
        ]  # fmt: skip
        await work.conversations.add(session, number, messages)
    work.report.commits += len(commits)


def _events(commits: Iterable[Commit], work: _Import) -> Iterator[dict[str, Any]]:
    for commit in commits:
        yield _commit_event(commit, work.report)
        for change in commit.changes:
            event = _change_event(commit, change, work.report)
            yield {**event, "entity_id": work.documents.get(change.path)}


def _commit_event(commit: Commit, report: ImportReport) -> dict[str, Any]:
    payload = {
        "hash": commit.hash,
        "subject": commit.subject[:255],
        "email": commit.email[:255],
        "merge": commit.parents > 1,
        "files": len(commit.changes),
        "insertions": sum(change.insertions or 0 for change in commit.changes),
        "deletions": sum(change.deletions or 0 for change in commit.changes),
    }
    if commit.cut_off:
        payload["cut_off"] = True
    return {
        "entity": "repository", "entity_id": report.repository_id, "action": "commit",
        "actor": _actor(commit), "payload": payload, "occurred_at": commit.at,
    }  # fmt: skip


def _change_event(
    commit: Commit, change: FileChange, report: ImportReport
) -> dict[str, Any]:
    payload = {
        "hash": commit.hash,
        "path": change.path,
        "change": change.change,
        "insertions": change.insertions,
        "deletions": change.deletions,
        "repository_id": report.repository_id,
    }
    if change.previous_path is not None:
        payload["from"] = change.previous_path
    return {
        "entity": "document", "action": "changed", "actor": _actor(commit),
        "payload": payload, "occurred_at": commit.at,
    }  # fmt: skip


def _actor(commit: Commit) -> str | None:
    return (commit.author.strip() or commit.email.strip())[:255] or None
