"""
Questions about builds: how many pass, and which jobs are flaky or slow.

They read the `build` events of activity, as `RepositoryRepository.record_builds`
writes them. Builds that are queued, running or cancelled have no outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

SLOW = 2.0
"""A job is slow if one build in twenty takes more than so many times what is usual."""


class BuildSuccess(NamedTuple):
    """
    How builds went in a bucket of time.

    Attributes:
        bucket: When it begins.
        builds: How many there were, with an outcome or without.
        passed: How many passed.
        failed: How many failed.
        rate: Of those that passed or failed, how many passed, from 0 to 1.
        moving_rate: The same for the last `window` buckets together, this one
            included; fewer in the beginning.
    """

    bucket: datetime
    builds: int
    passed: int
    failed: int
    rate: float | None
    moving_rate: float | None


class JobProblems(NamedTuple):
    """
    What is wrong with a job of a repository's builds.

    Attributes:
        repository_id: Of the repository.
        repository: Its name.
        job: The name of the job.
        builds: How many have passed or failed.
        passed: How many passed.
        failed: How many failed.
        flips: How many ended otherwise than the one before.
        flake_rate: Of those that had one before, from 0 to 1.
        same_commit_flips: Commits that it has both passed and failed on: it is flaky,
            as the code was the same.
        median_seconds: Half of the builds took no longer.
        p95_seconds: 19 of 20 took no longer.
        slow: Whether that is more than twice what is usual: the median of the medians
            of all jobs asked about.
    """

    repository_id: int
    repository: str
    job: str
    builds: int
    passed: int
    failed: int
    flips: int
    flake_rate: float | None
    same_commit_flips: int
    median_seconds: float | None
    p95_seconds: float | None
    slow: bool


class BuildQuestions(Asker):
    """
    What can be asked about builds.
    """

    def build_success(
        self, *, window: int = 7, **filters: Unpack[Filters]
    ) -> Question[Report[BuildSuccess]]:
        """
        How many builds passed when, and how many of the last ones.

        One scan and one GROUP BY over the outcomes. The moving rate counts builds, not
        buckets, so that a day with one build does not weigh as much as one with many.

        Args:
            window: How many buckets the moving rate is about.
            filters: As in all questions.
        """
        require_count("window", window)
        scope = Scope.of(filters)
        return Query(
            name="build_success",
            title="Builds that passed",
            sql=f"""
                SELECT {scope.bucket("occurred_at")} AS bucket, count(*),
                    count(*) FILTER (status = 'passed') AS passed,
                    count(*) FILTER (status = 'failed') AS failed,
                    passed / nullif(passed + failed, 0), NULL
                FROM (
                    SELECT occurred_at, payload ->> 'status' AS status
                    FROM activity WHERE {_builds(scope)})
                GROUP BY bucket ORDER BY bucket
            """,
            row=BuildSuccess,
            tables=("activity",),
            scope=scope,
            values={"window": window},
            finish=partial(_moving, scope, window),
            view={"layer": [
                _rates({"type": "point", "opacity": 0.35}, "rate"),
                _rates({"type": "line", "strokeWidth": 3}, "moving_rate"),
            ]},
        ).asked_by(self)  # fmt: skip

    def build_problems(
        self, *, limit: int = 100, **filters: Unpack[Filters]
    ) -> Question[Report[JobProblems]]:
        """
        Which jobs are flaky or slow, what to look at first coming first.

        That is: what has passed and failed on one commit, then what changes its outcome
        the most often, then what is slow. A window over the builds of each job compares
        each with the one before; lists of the commits that passed and that failed are
        intersected.

        Args:
            limit: How many jobs at most.
            filters: As in all questions.
        """
        require_count("limit", limit)
        scope = Scope.of(filters)
        return Query(
            name="build_problems",
            title="Jobs to look at first",
            sql=_problems(scope),
            row=JobProblems,
            tables=("activity", "repositories"),
            scope=scope,
            values={"limit": limit, "slow": SLOW},
            view={
                "mark": "circle",
                "encoding": {
                    "x": field("flake_rate", "Q", "builds that end otherwise",
                               axis={"format": "%"}),
                    "y": field("p95_seconds", "Q", "seconds of 19 builds in 20"),
                    "color": field("job", "N"),
                    "size": field("flips", "Q", "changes of outcome"),
                    "tooltip": [field("repository", "N"), field("job", "N")],
                },
            },
        ).asked_by(self)  # fmt: skip


def _builds(scope: Scope) -> str:
    period = scope.where(time="occurred_at", project="project_id")
    return f"entity = 'repository' AND action = 'build' AND {period}"


def _problems(scope: Scope) -> str:
    return f"""
        SELECT repositories.id, repositories.name, job, builds, passed, builds - passed,
            flips, flips / nullif(builds - 1, 0),
            coalesce(len(list_intersect(passed_on, failed_on)), 0)
                AS same_commit_flips,
            seconds[1], seconds[2] AS p95, coalesce(p95 > :slow * usual, false) AS slow
        FROM (
            SELECT *, median(seconds[1]) OVER () AS usual
            FROM (
                SELECT entity_id, job, count(*) AS builds,
                    count(*) FILTER (passed) AS passed,
                    count(*) FILTER (passed <> before) AS flips,
                    list("commit") FILTER (passed AND "commit" IS NOT NULL)
                        AS passed_on,
                    list("commit") FILTER (NOT passed AND "commit" IS NOT NULL)
                        AS failed_on,
                    quantile_cont(seconds, [0.5, 0.95])
                        FILTER (isfinite(seconds)) AS seconds
                FROM (
                    SELECT *, lag(passed) OVER (
                        PARTITION BY entity_id, job ORDER BY occurred_at, id) AS before
                    FROM (
                        SELECT id, entity_id, occurred_at, told[1] = 'passed' AS passed,
                            coalesce(told[2], 'build') AS job, told[3] AS "commit",
                            TRY_CAST(told[4] AS DOUBLE) AS seconds
                        FROM (
                            SELECT *, json_extract_string(
                                payload, ['status', 'name', 'commit', 'seconds'])
                                AS told
                            FROM activity WHERE {_builds(scope)})
                        WHERE told[1] IN ('passed', 'failed')))
                GROUP BY entity_id, job))
        JOIN repositories ON repositories.id = entity_id
        ORDER BY same_commit_flips DESC, flips DESC, slow DESC, p95 DESC NULLS LAST,
            repositories.id, job LIMIT :limit
    """


def _rates(mark: dict[str, object], name: str) -> dict[str, object]:
    percent = {"format": "%"}
    return {"mark": mark, "encoding": {
        "x": field("bucket", "T", ""),
        "y": field(name, "Q", "builds that passed", axis=percent),
    }}  # fmt: skip


def _moving(
    scope: Scope, window: int, rows: list[BuildSuccess]
) -> Sequence[BuildSuccess]:
    told = {row.bucket: row for row in rows}
    every = [
        told.get(each) or BuildSuccess(each, 0, 0, 0, None, None)
        for each in scope.all_buckets(told)
    ]
    passed = [0, *accumulate(row.passed for row in every)]
    ended = [0, *accumulate(row.passed + row.failed for row in every)]
    firsts = [0] * window + list(range(1, len(every)))  # of each window
    return [
        BuildSuccess(
            *row[:5],
            _share(passed[end] - passed[first], ended[end] - ended[first]),
        )
        for end, (first, row) in enumerate(zip(firsts, every, strict=False), start=1)
    ]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
