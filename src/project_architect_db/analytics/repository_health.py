"""
How well all code repositories are, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, Unpack

from project_architect_db.analytics.charts import field
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.contributors import first_of
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.repositories import (
    FRESH,
    RECENT_BUILDS,
    STALE,
    WEIGHTS,
)

_MICROSECOND = timedelta(microseconds=1)


class Health(NamedTuple):
    """
    How well a repository is.

    Attributes:
        repository_id: Its id.
        name: Its name.
        project_id: The project it belongs to.
        score: From 0 to 100: the mean of those parts that are known, weighted by
            `domain.repositories.WEIGHTS`; `None` where none is.
        builds: The first part, from 0 to 1: the share of the last 100 finished builds
            that passed.
        activity: 1 up to 30 days after the last commit, then falling to 0 after a year.
        people: The bus factor, of which 3 are enough.
        issues: 1 without open issues, 1/2 with as many as there are commits in ten.
        finished_builds: How many builds `builds` is about.
        last_commit_at: When the last commit was made.
        bus_factor: How few people made more than half of the commits.
        open_issues: How many GitHub tells of.
        why: How many points of 100 are lost by which part, the most first.
    """

    repository_id: int
    name: str
    project_id: int
    score: float | None
    builds: float | None
    activity: float | None
    people: float | None
    issues: float | None
    finished_builds: int
    last_commit_at: datetime | None
    bus_factor: int
    open_issues: int | None
    why: str


class HealthQuestions(Asker):
    """
    What can be asked about the health of code repositories.
    """

    @of_the_present
    def repository_health(
        self, *, limit: int = 100, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[Health]]:  # fmt: skip
        """
        How well the repositories are, and why, the least well first.

        The same formula as `RepositoryRepository.health`, for all in one statement: the
        last builds by a sorted list of each repository, the bus factor by a window
        over its contributors. The period is that of the builds.

        Args:
            limit: How many repositories at most.
            at: The present, for the age of the last commit.
            filters: As in all questions.
        """
        require_count("limit", limit)
        now, scope = present(at), Scope.of(filters)
        return Query(
            name="repository_health",
            title="Health of repositories, the least well first",
            sql=_sql(scope),
            row=Health,
            tables=("activity", "repositories"),
            scope=scope,
            values={
                "limit": limit, "at": now, "recent": RECENT_BUILDS,
                "stale": STALE // _MICROSECOND, "fresh": FRESH // _MICROSECOND,
                **{f"weight_of_{name}": weight for name, weight in WEIGHTS.items()},
            },
            finish=partial(_explained, now),
            view=first_of(
                "bar",
                x=field("score", "Q", "score of 100"),
                y=field("name", "N", "repository", sort=None),
            ),
        ).asked_by(self)  # fmt: skip


def _sql(scope: Scope) -> str:
    return f"""
        WITH outcomes AS (
            SELECT entity_id, list_slice(
                list(CAST(status = 'passed' AS INTEGER)
                    ORDER BY occurred_at DESC, id DESC), 1, :recent) AS passed
            FROM (
                SELECT id, entity_id, occurred_at, payload ->> 'status' AS status
                FROM activity
                WHERE entity = 'repository' AND action = 'build'
                    AND {scope.where(time="occurred_at", project="project_id")})
            WHERE status IN ('passed', 'failed') GROUP BY entity_id),
        teams AS (
            SELECT id,
                count(*) FILTER (commits > 0 AND 2 * before <= total) AS bus_factor
            FROM (
                SELECT id, commits, sum(commits) OVER (PARTITION BY id) AS total,
                    sum(commits) OVER (PARTITION BY id ORDER BY commits DESC
                        ROWS UNBOUNDED PRECEDING) - commits AS before
                FROM (
                    SELECT id, coalesce(unnest(from_json(
                        contributors, '[{{"commits":"BIGINT"}}]')).commits, 0)
                        AS commits
                    FROM repositories))
            GROUP BY id),
        parts AS (
            SELECT repository.id, name, project_id, last_commit_at,
                coalesce(len(passed), 0) AS finished,
                coalesce(bus_factor, 0) AS bus_factor, open_issues,
                list_sum(passed) / len(passed) AS builds,
                CASE WHEN last_commit_at IS NOT NULL THEN least(1, greatest(0,
                    (:stale - (epoch_us(CAST(:at AS TIMESTAMPTZ))
                        - epoch_us(last_commit_at))) / (:stale - :fresh)))
                END AS activity,
                CASE WHEN bus_factor IS NOT NULL THEN least(1, bus_factor / 3)
                END AS people,
                1 / (1 + CASE WHEN open_issues < 0 THEN 0 ELSE open_issues END
                    / greatest(1, commit_count / 10)) AS issues
            FROM (
                SELECT *, TRY_CAST(github ->> 'open_issues_count' AS BIGINT)
                    AS open_issues
                FROM repositories
                WHERE {scope.where(project="project_id")}) AS repository
            LEFT JOIN outcomes ON outcomes.entity_id = repository.id
            LEFT JOIN teams ON teams.id = repository.id)
        SELECT id, name, project_id,
            100 * ({" + ".join(map(_weighted, WEIGHTS))})
                / nullif({" + ".join(map(_weight, WEIGHTS))}, 0) AS score,
            builds, activity, people, issues, finished, last_commit_at, bus_factor,
            open_issues, '' AS why
        FROM parts ORDER BY score NULLS LAST, id LIMIT :limit
    """


def _weighted(part: str) -> str:
    return f"coalesce(:weight_of_{part} * {part}, 0)"


def _weight(part: str) -> str:
    return f"CASE WHEN {part} IS NULL THEN 0 ELSE :weight_of_{part} END"


def _explained(now: datetime, rows: list[Health]) -> Sequence[Health]:
    return [_rounded(row)._replace(why=_why(row, now)) for row in rows]


def _rounded(row: Health) -> Health:
    """
    With as many digits as `RepositoryRepository.health` gives.
    """
    parts: dict[str, Any] = {
        name: None if part is None else round(part, 3)
        for name, part in _parts(row).items()
    }
    score = None if row.score is None else round(row.score, 1)
    return row._replace(score=score, **parts)


def _parts(row: Health) -> dict[str, float | None]:
    return {name: getattr(row, name) for name in WEIGHTS}


def _why(row: Health, now: datetime) -> str:
    """
    A sentence: what takes how many points, and what is not known.
    """
    known = {name: part for name, part in _parts(row).items() if part is not None}
    weight = sum(WEIGHTS[name] for name in known)
    lost = {
        name: round(100 * WEIGHTS[name] * (1 - part) / weight, 1)
        for name, part in known.items()
    }
    facts = _facts(row, now)
    told = [
        f"{points:g} lost by {name} ({facts[name]})"
        for name, points in sorted(lost.items(), key=lambda each: -each[1])
        if points
    ]
    told += [f"nothing known of {name}" for name in WEIGHTS if name not in known]
    return "; ".join(told) or "nothing is lost"


def _facts(row: Health, now: datetime) -> dict[str, str]:
    passed = round((row.builds or 0) * row.finished_builds)
    days = (now - (row.last_commit_at or now)) // timedelta(days=1)
    people = "1 person" if row.bus_factor == 1 else f"{row.bus_factor} people"
    return {
        "builds": f"{passed} of the last {row.finished_builds} passed",
        "activity": f"the last commit was {days:,} days ago",
        "people": f"{people} made more than half of the commits",
        "issues": f"{row.open_issues} open",
    }
