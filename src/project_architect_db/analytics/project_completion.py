"""
Questions about what becomes of projects, how soon, and whether complex ones differ.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple, Unpack

from project_architect_db.analytics.charts import Spec, field, view
from project_architect_db.analytics.project_stages import completions
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope


class Completion(NamedTuple):
    """
    How many projects were completed, and how long that took.

    Attributes:
        created: How many projects there are.
        completed: How many of them came to be completed, whatever they are now.
        completion_rate: The share of these, from 0 to 1; `None` without projects.
        mean_seconds: From when they were created until they were completed for the
            first time; `None` where no activity tells of it, as the others.
        median_seconds: What half of them took at most.
        p75_seconds: What three quarters of them took at most.
        p90_seconds: What nine of ten took at most.
        p95_seconds: What 19 of 20 took at most.
    """

    created: int
    completed: int
    completion_rate: float | None
    mean_seconds: float | None
    median_seconds: float | None
    p75_seconds: float | None
    p90_seconds: float | None
    p95_seconds: float | None


class CompletionOverTime(NamedTuple):
    """
    What became of the projects that were created in a bucket; see `Completion`.

    Attributes:
        bucket: When it begins.
        created: How many projects were created in it.
        completed: How many of these came to be completed, whenever that was.
        completion_rate: The share of these, from 0 to 1; `None` without projects.
        mean_seconds: From when they were created until they were completed for the
            first time; `None` where no activity tells of it, as the others.
        median_seconds: What half of them took at most.
        p75_seconds: What three quarters of them took at most.
        p90_seconds: What nine of ten took at most.
        p95_seconds: What 19 of 20 took at most.
    """

    bucket: datetime
    created: int
    completed: int
    completion_rate: float | None
    mean_seconds: float | None
    median_seconds: float | None
    p75_seconds: float | None
    p90_seconds: float | None
    p95_seconds: float | None


class Complexity(NamedTuple):
    """
    What became of projects as complex as these.

    Attributes:
        band: ``"lowest"``, ``"low"``, ``"high"`` or ``"highest"``: the quarter of all
            projects that they belong to by their score, where equal scores are in one
            band; or ``"unknown"``: they have no architecture.
        least: The lowest score in it.
        most: The highest one.
        mean_score: Of all in it.
        projects: How many there are.
        completed: How many of these came to be completed.
        completion_rate: The share of these, from 0 to 1.
        median_seconds: From when they were created until they were completed.
    """

    band: str
    least: float | None
    most: float | None
    mean_score: float | None
    projects: int
    completed: int
    completion_rate: float
    median_seconds: float | None


_COMPLETED = """
    count(*) FILTER (done.moment IS NOT NULL OR p.status = 'completed') AS completed,
    completed / nullif(count(*), 0) AS completion_rate
"""
_SECONDS = """
    CASE WHEN done.moment < p.created_at THEN 0
    ELSE (epoch_us(done.moment) - epoch_us(p.created_at)) / 1e6 END
"""

BANDS = ("lowest", "low", "high", "highest", "unknown")
"""Of complexity, the simplest projects first."""


class ProjectCompletionQuestions(Asker):
    """
    What can be asked about what becomes of projects.
    """

    def completion(self, **filters: Unpack[Filters]) -> Question[Report[Completion]]:
        """
        How many projects were completed, and how long it took, in one row.

        Of those created in the period. The first event that says so, per project, is
        joined to the projects: those that are completed and have none count as
        completed, in an unknown time.
        """
        scope = Scope.of(filters)
        return Query(
            name="completion",
            title="How long completed projects took",
            sql=_completion_sql(scope),
            row=Completion,
            tables=("projects", "activity"),
            scope=scope,
            view=_PERCENTILES,
        ).asked_by(self)

    def completion_over_time(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[CompletionOverTime]]:
        """
        `completion`, of the projects that were created in each bucket of the period.

        The same, grouped by when projects were created.
        """
        scope = Scope.of(filters)
        return Query(
            name="completion_over_time",
            title="Completed projects, by when they were created",
            sql=_completion_sql(scope, bucket=scope.bucket("p.created_at")),
            row=CompletionOverTime,
            tables=("projects", "activity"),
            scope=scope,
            view=_RATES,
            finish=lambda rows: _with_empty(rows, scope),
        ).asked_by(self)

    def complexity(self, **filters: Unpack[Filters]) -> Question[Report[Complexity]]:
        """
        What became of simple and of complex projects; of those created in the period.

        The score is the number `complexity_score` of the architecture; where there is
        none, how many values are in it: texts, numbers, booleans and nulls, as deep
        as they are. Projects are in four bands by the quartiles of their scores.
        """
        scope = Scope.of(filters)
        return Query(
            name="complexity",
            title="Completed projects, by complexity",
            sql=_complexity_sql(scope),
            row=Complexity,
            tables=("projects", "activity"),
            scope=scope,
            view=view(
                "bar",
                x=field("band", "O", "complexity", sort=BANDS, axis={"labelAngle": 0}),
                y=field("completion_rate", "Q", axis={"format": "%"}),
            ),
        ).asked_by(self)


_PERCENTILES: Spec = {
    "transform": [
        {"fold": ["median_seconds", "p75_seconds", "p90_seconds", "p95_seconds"]},
        {"calculate": "datum.value / 86400", "as": "days"},
        {"calculate": "split(datum.key, '_')[0]", "as": "percentile"},
    ],
    **view("bar", x=field("days", "Q"), y=field("percentile", "O", "", sort=None)),
    "step": 40,
}

_RATES = {
    "layer": [
        view(
            {"type": "bar", "color": color},
            x=field("bucket", "T", "created"),
            y=field(name, "Q", "projects (pale: not completed)"),
        )
        for name, color in (("created", "#c6dbef"), ("completed", "#3182bd"))
    ]
}


def _completion_sql(scope: Scope, bucket: str | None = None) -> str:
    named, grouped = "", ""
    if bucket is not None:
        named, grouped = f"{bucket} AS bucket,", "GROUP BY bucket ORDER BY bucket"
    return f"""
        SELECT * EXCLUDE (quantiles), quantiles[1], quantiles[2], quantiles[3],
            quantiles[4]
        FROM (
            SELECT {named} count(*) AS created, {_COMPLETED},
                avg({_SECONDS}) AS mean_seconds,
                quantile_cont({_SECONDS}, [0.5, 0.75, 0.9, 0.95]) AS quantiles
            FROM projects p
            LEFT JOIN ({completions(scope)}) done ON done.project_id = p.id
            WHERE {scope.where(time="p.created_at", project="p.id")}
            {grouped})
    """


def _with_empty(
    rows: list[CompletionOverTime], scope: Scope
) -> list[CompletionOverTime]:
    found = {row.bucket: row for row in rows}
    nothing: tuple[Any, ...] = (0, 0, *[None] * 6)
    return [
        found.get(bucket) or CompletionOverTime(bucket, *nothing)
        for bucket in scope.all_buckets(found)
    ]


def _complexity_sql(scope: Scope) -> str:
    return f"""
        WITH scored AS MATERIALIZED (
            SELECT id, status, created_at,
                CASE WHEN coalesce(json_type(architecture), 'NULL') = 'NULL' THEN NULL
                WHEN json_type(architecture, '$.complexity_score')
                    IN ('UBIGINT', 'BIGINT', 'DOUBLE')
                THEN CAST(architecture ->> '$.complexity_score' AS DOUBLE)
                ELSE len(list_filter(json_type(architecture, '$..*'),
                    lambda kind: kind NOT IN ('OBJECT', 'ARRAY'))) END AS score
            FROM projects
            WHERE {scope.where(time="created_at", project="id")}),
        parts AS (
            SELECT quantile_disc(score, [0.25, 0.5, 0.75]) AS ends FROM scored)
        SELECT CASE WHEN score IS NULL THEN 'unknown' WHEN score <= ends[1]
            THEN 'lowest' WHEN score <= ends[2] THEN 'low' WHEN score <= ends[3]
            THEN 'high' ELSE 'highest' END AS band,
            min(score) AS least, max(score), avg(score), count(*), {_COMPLETED},
            quantile_cont({_SECONDS}, 0.5)
        FROM scored p CROSS JOIN parts
        LEFT JOIN ({completions(scope)}) done ON done.project_id = p.id
        GROUP BY band ORDER BY least NULLS LAST
    """
