"""
What a repository is made of, in numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from project_architect_db.domain.models import Document, Repository

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
    """

    name: str
    path: str | None
    url: str | None
    branch: str | None
    head_commit: str | None
    commits: int
    first_commit_at: datetime | None
    last_commit_at: datetime | None
    documents: int
    lines: int
    languages: list[LanguageShare]
    contributors: list[dict[str, Any]]
    commits_per_month: dict[str, int]


async def repository_overview(
    session: AsyncSession, repository_id: int
) -> RepositoryOverview:
    """
    Look a repository up, and count its documents by language.
    """
    repository = await session.get_one(Repository, repository_id)
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
    languages = [
        LanguageShare(name, count, int(lines), int(size))
        for name, count, lines, size in rows
    ]
    return RepositoryOverview(
        name=repository.name,
        path=repository.path,
        url=repository.url,
        branch=repository.branch,
        head_commit=repository.head_commit,
        commits=repository.commit_count,
        first_commit_at=repository.first_commit_at,
        last_commit_at=repository.last_commit_at,
        documents=sum(share.documents for share in languages),
        lines=sum(share.lines for share in languages),
        languages=languages,
        contributors=repository.contributors,
        commits_per_month=repository.commits_per_month,
    )
