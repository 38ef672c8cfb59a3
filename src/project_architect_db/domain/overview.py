"""
What a repository is made of, in numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, func, select

from project_architect_db.domain.models import (
    Activity,
    Conversation,
    Document,
    Repository,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class LanguageShare:
    """
    The documents in one language.
    """

    language: str
    documents: int
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class RepositoryOverview:
    """
    A repository in numbers; times in UTC, languages and contributors largest first.

    Attributes:
        releases: Its tags.
        conversations: Of its project.
        events: Of its project's activity.
    """

    name: str
    path: str | None
    url: str | None
    branch: str | None
    head_commit: str | None
    commits: int
    first_commit_at: datetime | None
    last_commit_at: datetime | None
    releases: int
    conversations: int
    events: int
    documents: int
    lines: int
    languages: list[LanguageShare]
    contributors: list[dict[str, Any]]
    commits_per_month: dict[str, int]


async def repository_overview(
    session: AsyncSession, repository_id: int
) -> RepositoryOverview:
    """
    Look a repository up, and count what there is of it.
    """
    repository = await session.get_one(Repository, repository_id)
    releases, conversations, events = await _counts(session, repository)
    languages = await _languages(session, repository_id)
    return RepositoryOverview(
        name=repository.name,
        path=repository.path,
        url=repository.url,
        branch=repository.branch,
        head_commit=repository.head_commit,
        commits=repository.commit_count,
        first_commit_at=repository.first_commit_at,
        last_commit_at=repository.last_commit_at,
        releases=releases,
        conversations=conversations,
        events=events,
        documents=sum(share.documents for share in languages),
        lines=sum(share.lines for share in languages),
        languages=languages,
        contributors=repository.contributors,
        commits_per_month=repository.commits_per_month,
    )


async def _languages(session: AsyncSession, repository_id: int) -> list[LanguageShare]:
    lines = func.sum(Document.lines)
    rows = await session.execute(
        select(
            func.coalesce(Document.language, "Other"),
            func.count(),
            lines,
            func.sum(Document.size),
        )
        .where(Document.repository_id == repository_id)
        .group_by(Document.language)
        .order_by(lines.desc())
    )
    return [
        LanguageShare(name, count, int(lines), int(size))
        for name, count, lines, size in rows
    ]


async def _counts(session: AsyncSession, repository: Repository) -> Row[int, int, int]:
    """
    Count its releases, and the conversations and events of its project.
    """
    project = Activity.project_id == repository.project_id
    is_release = (
        (Activity.entity == "repository")
        & (Activity.entity_id == repository.id)
        & (Activity.action == "release")
    )
    conversations = select(func.count()).where(
        Conversation.project_id == repository.project_id
    )
    rows = await session.execute(
        select(
            func.count().filter(is_release),
            conversations.scalar_subquery(),
            func.count(),
        ).where(project)
    )
    return rows.one()
