"""
The repository of code repositories.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Double, func, select

from project_architect_db.base import utc_now
from project_architect_db.domain.arguments import require_number, require_text
from project_architect_db.domain.models import Activity, Repository
from project_architect_db.domain.schema_fields import AHEAD
from project_architect_db.domain.schema_parts import Build, GitHubMetadata
from project_architect_db.domain.schemas import RepositoryCreate, RepositoryUpdate
from project_architect_db.domain.stages import duration
from project_architect_db.domain.staying_repositories import StayingRepositories
from project_architect_db.domain.vocabulary import BUILD_STATUSES
from project_architect_db.orm.refusals import each_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.incoming import Data
    from project_architect_db.orm.query_pages import Page

RECENT_BUILDS = 100
"""How many builds, at most, a success rate looks back on."""

FRESH = timedelta(days=30)
"""After a commit, a repository is fully active for so long …"""

STALE = timedelta(days=365)
"""… and after so long it is not active any more."""

WEIGHTS = {"builds": 0.4, "activity": 0.3, "people": 0.2, "issues": 0.1}
"""What the score of health is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryHealth:
    """
    How well a code repository is.

    `score`, from 0 to 100, is the mean of those `parts` that are known, weighted by
    `WEIGHTS`; each part is from 0 to 1:

    - *builds*: the share of the last 100 finished builds that passed;
    - *activity*: 1 up to 30 days after the last commit, then falling evenly to 0 after
      a year;
    - *people*: the bus factor, of which 3 are enough: ``min(1, bus_factor / 3)``;
    - *issues*: 1 without open issues, 1/2 with as many as there are commits in ten.

    Attributes:
        bus_factor: How few people made more than half of the commits. Source:
            https://en.wikipedia.org/wiki/Bus_factor
        average_build: Of builds that say how long they took.
    """

    repository_id: int
    score: float | None
    parts: dict[str, float]
    builds: int
    build_success_rate: float | None
    average_build: timedelta | None
    last_build_status: str
    last_commit_at: datetime | None
    contributors: int
    bus_factor: int
    open_issues: int | None


class RepositoryRepository(StayingRepositories):
    """
    Code repositories: what GitHub says of them, their builds and their health.

    One stays in its project, as its documents and its activity do.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         project = await ProjectRepository(session).create(
        ...             {"name": "a", "project_idea": "b"})
        ...         repositories = RepositoryRepository(session)
        ...         made = await repositories.create(
        ...             {"project_id": project.id, "name": "app"})
        ...         made = await repositories.record_build(
        ...             made.id, {"status": "passed"})
        ...         health = await repositories.health(made.id)
        ...         print(made.build_status, health.build_success_rate)
        passed 1.0
    """

    create_schema = RepositoryCreate
    update_schema = RepositoryUpdate
    vocabularies = {"build_status": BUILD_STATUSES}

    async def list_by_project(
        self, project_id: int, limit: int = 100, *, cursor: str | None = None,
        **filters: Any,
    ) -> Page[Repository]:  # fmt: skip
        """
        The repositories of a project by name, page by page.

        Raises:
            InvalidDataError: There is no such build status, or no such page.
        """
        self._require_words(**filters)
        return await self.paginate(
            limit, cursor=cursor, order_by=("name",), project_id=project_id, **filters
        )

    # --- GitHub -------------------------------------------------------------------

    async def set_github(self, id: int, metadata: Data) -> Repository:
        """
        Keep what GitHub says about a repository, as its REST API gives it.

        Raises:
            NotFoundError: There is no such repository.
            InvalidDataError: `full_name` is missing, or something does not fit.
        """
        return await self.update(
            id, {"github": GitHubMetadata.model_validate(metadata)}
        )

    async def find_by_github(self, full_name: str) -> list[Repository]:
        """
        The repositories that are `owner/name` on GitHub, where case does not matter.

        Raises:
            InvalidDataError: It is no text.
        """
        require_text(full_name, model="Repository", field="full_name")
        told = func.lower(Repository.github["full_name"].as_string())
        query = self.base_query().filter(told == full_name.lower())
        return await query.order_by("id").all()

    # --- builds -------------------------------------------------------------------

    async def record_build(self, id: int, build: Data) -> Repository:
        """
        Note how a build went; the last one is the repository's status.

        Raises:
            NotFoundError: There is no such repository.
            InvalidDataError: It is no build, or more than a day in the future.
        """
        return await self.record_builds(id, [build])

    async def record_builds(self, id: int, builds: Sequence[Data]) -> Repository:
        """
        Note how several builds went.
        """
        each = each_of(self._fields, builds)
        given = [Build.model_validate(build) for build in each]
        repository = await self.get_one(id)
        for build in given:
            last = repository.last_build_at
            # SQL may have put a time there that no build would ever be later than.
            if last is None or build.at >= last or last > utc_now() + AHEAD:
                repository.last_build_at = build.at
                repository.build_status = build.status
        await self._write_events([
            {
                "action": "build", "entity_id": repository.id, "occurred_at": build.at,
                "project_id": repository.project_id,
                "payload": build.model_dump(
                    mode="json", exclude_none=True, exclude={"at"}
                ),
            }
            for build in given
        ])  # fmt: skip
        return repository

    async def builds(self, id: int, limit: int = 100) -> list[Activity]:
        """
        The builds of a repository, the latest first.

        Raises:
            InvalidDataError: It is no id, or the limit no number.
        """
        require_number(limit, model="Repository", field="limit")
        found = _builds(self._key(id)).order_by(
            Activity.occurred_at.desc(), Activity.id.desc()
        )
        return [*await self.session.scalars(found.limit(limit))]

    async def health(self, id: int) -> RepositoryHealth:
        """
        How well a repository is, and why.

        Raises:
            NotFoundError: There is no such repository.
        """
        repository = await self.get_one(id)
        row = await _read_builds(self.session, repository.id)
        finished = row.passed + row.failed
        rate = row.passed / finished if finished else None
        github = repository.github or {}
        issues = github.get("open_issues_count")
        commits = [
            int(person.get("commits") or 0) for person in repository.contributors
        ]
        parts = {
            "builds": rate,
            "activity": _activity(repository.last_commit_at),
            "people": min(1.0, bus_factor(commits) / 3) if commits else None,
            "issues": None
            if issues is None
            else 1 / (1 + issues / max(1.0, repository.commit_count / 10)),
        }
        known = {name: part for name, part in parts.items() if part is not None}
        weight = sum(WEIGHTS[name] for name in known)
        score = sum(WEIGHTS[name] * part for name, part in known.items())
        return RepositoryHealth(
            repository_id=repository.id,
            score=round(100 * score / weight, 1) if weight else None,
            parts={name: round(part, 3) for name, part in known.items()},
            builds=row.builds, build_success_rate=rate,
            average_build=duration(row.seconds),
            last_build_status=repository.build_status,
            last_commit_at=repository.last_commit_at,
            contributors=len(commits), bus_factor=bus_factor(commits),
            open_issues=issues,
        )  # fmt: skip


def bus_factor(commits: Sequence[int]) -> int:
    """
    How few people made more than half of the commits.

    Args:
        commits: Of each person.

    Example:
        >>> bus_factor([5, 3, 1])
        1
        >>> bus_factor([4, 4, 4])
        2
        >>> bus_factor([])
        0
    """
    total, people, so_far = sum(commits), 0, 0
    for count in sorted(commits, reverse=True):
        if not count or 2 * so_far > total:
            break
        people, so_far = people + 1, so_far + count
    return people


def _activity(last_commit_at: datetime | None) -> float | None:
    if last_commit_at is None:
        return None
    left = (STALE - (utc_now() - last_commit_at)) / (STALE - FRESH)
    return min(1.0, max(0.0, left))


def _builds(id: int) -> Any:
    return select(Activity).where(
        Activity.entity == "repository",
        Activity.entity_id == id,
        Activity.action == "build",
    )


async def _read_builds(session: AsyncSession, id: int) -> Any:
    """
    Count the last builds that have finished, and average how long they took.
    """
    outcome = Activity.payload["status"].as_string()
    recent = (
        _builds(id)
        .where(outcome.in_(["passed", "failed"]))
        .with_only_columns(
            outcome.label("outcome"),
            Activity.payload["seconds"].as_float().cast(Double).label("seconds"),
        )
        .order_by(Activity.occurred_at.desc(), Activity.id.desc())
        .limit(RECENT_BUILDS)
        .subquery()
    )
    counted = select(
        func.count().label("builds"),
        func.count().filter(recent.c.outcome == "passed").label("passed"),
        func.count().filter(recent.c.outcome == "failed").label("failed"),
        func.avg(recent.c.seconds).label("seconds"),
    ).select_from(recent)
    return (await session.execute(counted)).one()
