"""
A project in numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import distinct, func, select, true

from project_architect_db.base import utc_now
from project_architect_db.dialect.json_lists import json_length
from project_architect_db.domain.models import (
    Activity,
    Conversation,
    Document,
    Project,
    Repository,
)
from project_architect_db.domain.stages import Stage, read_stages

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectMetrics:
    """
    A project in numbers.

    Attributes:
        stages: The statuses it had and when.
        build_success_rate: Of the builds that passed or failed, from 0 to 1.
        contributors: Different actors of its activity.
    """

    project_id: int
    age: timedelta
    stages: list[Stage]
    conversations: int
    messages: int
    documents: int
    bytes: int
    lines: int
    repositories: int
    commits: int
    builds: int
    build_success_rate: float | None
    events: int
    contributors: int
    last_activity_at: datetime | None


async def read_metrics(session: AsyncSession, project: Project) -> ProjectMetrics:
    """
    Count what is in a project, in one query, and read which statuses it had.
    """
    row = (await session.execute(_numbers(project.id))).one()
    passed, failed = row.passed, row.failed
    return ProjectMetrics(
        project_id=project.id,
        age=utc_now() - project.created_at,
        stages=await read_stages(
            session, project, "status_changed", project.status
        ),
        conversations=row.conversations, messages=int(row.messages),
        documents=row.documents, bytes=int(row.bytes), lines=int(row.lines),
        repositories=row.repositories, commits=int(row.commits),
        builds=row.builds,
        build_success_rate=passed / (passed + failed) if passed + failed else None,
        events=row.events, contributors=row.contributors,
        last_activity_at=row.last_activity_at,
    )  # fmt: skip


def _numbers(id: int) -> Any:
    """
    A query for all that is counted of a project, in one row.
    """

    def of(model: Any, **columns: Any) -> Any:
        named = [column.label(name) for name, column in columns.items()]
        return select(*named).where(model.project_id == id).subquery()

    def total(column: Any) -> Any:
        return func.coalesce(func.sum(column), 0)

    is_build = Activity.action == "build"
    outcome = Activity.payload["status"].as_string()
    parts = [
        of(
            Conversation,
            conversations=func.count(Conversation.id),
            messages=total(json_length(Conversation.messages)),
        ),
        of(
            Document,
            documents=func.count(Document.id),
            bytes=total(Document.size),
            lines=total(Document.lines),
        ),
        of(
            Repository,
            repositories=func.count(Repository.id),
            commits=total(Repository.commit_count),
        ),
        of(
            Activity,
            events=func.count(Activity.id),
            contributors=func.count(distinct(Activity.actor)),
            last_activity_at=func.max(Activity.occurred_at),
            builds=func.count().filter(is_build),
            passed=func.count().filter(is_build, outcome == "passed"),
            failed=func.count().filter(is_build, outcome == "failed"),
        ),
    ]
    first, *others = parts
    joined: Any = first
    for part in others:
        joined = joined.join(part, true())
    return select(*(column for part in parts for column in part.c)).select_from(joined)
