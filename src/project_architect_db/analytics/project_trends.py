"""
Questions about how projects get on over time, all of them and by their age.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.project_stages import ENDS, changes, stages
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

STALLED_AFTER = 30
"""Days without activity, unless told otherwise."""

MOST_WEEKS = 520
"""Of the life of a cohort."""


class ProjectTrend(NamedTuple):
    """
    What projects did in a bucket.

    Attributes:
        bucket: When it begins.
        created: How many were created in it.
        active: In how many something happened; that they were created is something.
        completed: How many were completed in it, for the first time.
        stalled: How many, when it ended, were neither completed nor archived and had
            been without activity for long.
    """

    bucket: datetime
    created: int
    active: int
    completed: int
    stalled: int


class CohortWeek(NamedTuple):
    """
    A week in the life of the projects that were created in the same one.

    Attributes:
        cohort: When the week of their creation begins.
        week: How many weeks later this is; 0 is that week itself.
        projects: How many there are.
        active: In how many of them something happened in this week.
        share: These, of all of them, from 0 to 1.
    """

    cohort: datetime
    week: int
    projects: int
    active: int
    share: float


class ProjectTrendQuestions(Asker):
    """
    What can be asked about projects over time.
    """

    @of_the_present
    def project_trends(
        self, *, stalled_after: int = STALLED_AFTER, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[ProjectTrend]]:  # fmt: skip
        """
        How many projects were created, active, completed and stalled in each bucket.

        One scan of activity makes cells of some buckets, in which a bit says for each
        bucket whether the project was active in it. Gaps between the cells of a
        project are when nothing happened; where they meet the times it was open, it
        is stalled.

        Args:
            stalled_after: Days without activity.
            at: The present; what is later is not told.
            filters: See `Filters`.
        """
        require_count("stalled_after", stalled_after, most=10_000)
        scope, now = Scope.of(filters), present(at)
        end = now if scope.until is None else min(scope.until, now)
        return Query(
            name="project_trends",
            title="Projects created, active, completed and stalled",
            sql=_trends_sql(scope, stalled_after),
            row=ProjectTrend,
            tables=("projects", "activity"),
            scope=scope,
            values={"end": end, "gap": stalled_after * _DAY},
            view=_TRENDS,
            finish=lambda rows: _summed_up(rows, scope, end),
        ).asked_by(self)

    @of_the_present
    def project_cohorts(
        self, *, weeks: int = 12, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[CohortWeek]]:  # fmt: skip
        """
        How many projects are still active how many weeks after they were created.

        Of those created in the period, in calendar weeks of the zone, whatever the
        granularity. Activity is joined to its project, and each pair of a project and
        one of its weeks is counted once.

        Args:
            weeks: The most of each cohort, from that of creation on.
            at: The present; weeks that begin later are not told.
            filters: See `Filters`.
        """
        require_count("weeks", weeks, most=MOST_WEEKS)
        scope = replace(Scope.of(filters), granularity="week")
        return Query(
            name="project_cohorts",
            title="Active projects by weeks since their creation",
            sql=_cohorts_sql(scope),
            row=CohortWeek,
            tables=("projects", "activity"),
            scope=scope,
            values={"weeks": weeks, "at": present(at)},
            view=_AGES,
        ).asked_by(self)


_DAY = 86_400_000_000
_WEEK = 7 * _DAY

_NUMBERS = ("created", "completed", "active", "stalled")

_TRENDS = {
    "transform": [{"fold": _NUMBERS}],
    **view(
        {"type": "line", "interpolate": "step-after"},
        x=field("bucket", "T", ""),
        y=field("value", "Q", "projects"),
        row=field("key", "N", "", sort=_NUMBERS),
    ),
    "resolve": {"scale": {"y": "independent"}},
    "height": 90,
}

_AGES = {
    **view(
        "rect",
        x=field("week", "O", "weeks since creation", axis={"labelAngle": 0}),
        y=field(
            "cohort", "O", "created in the week of", timeUnit="yearmonthdate",
            axis={"format": "%Y-%m-%d", "labelOverlap": True, "titlePadding": 30},
        ),
        color=field("share", "Q", "active", legend={"format": "%"}),
    ),
    "height": 500,
}  # fmt: skip


def _cells(scope: Scope, stalled_after: int) -> tuple[int, int]:
    """
    Microseconds of a bucket, and the power of two of them that make a cell.

    A cell is not longer than the gap that makes a project stalled, so that there are
    none inside of it, and has no more buckets than a BIGINT has bits to spare. Buckets
    that differ in length, or may begin at half past, are cells of their own.
    """
    if scope.granularity not in ("day", "week"):
        return 1, 0
    days = 1 if scope.granularity == "day" else 7
    most = timedelta(days=stalled_after) // timedelta(days=days, hours=1)
    return days * _DAY, max(0, min(most, 32).bit_length() - 1)


def _trends_sql(scope: Scope, stalled_after: int) -> str:
    length, power = _cells(scope, stalled_after)
    in_period = scope.where(time="moment")
    # Weeks begin on Mondays, and the count of microseconds on a Thursday.
    shift = 3 * _DAY if length == _WEEK else 0
    number = f"(epoch_us(bucket) + {shift}) // {length}"
    return f"""
        WITH changes AS MATERIALIZED ({changes(scope)}),
        cells AS MATERIALIZED (
            SELECT project_id, ({number}) >> {power} AS cell,
                min(bucket) AS bucket, max(moment) AS moment,
                bit_or(CASE WHEN {in_period}
                    THEN 1::BIGINT << (({number}) & {(1 << power) - 1}) ELSE 0 END)
                    AS bits
            FROM (
                SELECT project_id, moment, {scope.bucket("moment")} AS bucket
                FROM (
                    SELECT a.project_id, a.occurred_at AS moment FROM activity a
                    WHERE a.project_id IS NOT NULL AND a.occurred_at < :end
                        AND {scope.where(project="a.project_id")}
                    UNION ALL
                    SELECT id, created_at FROM projects
                    WHERE created_at < :end AND {scope.where(project="id")}))
            GROUP BY project_id, cell),
        silent AS (
            SELECT project_id, {scope.bucket("moment")} AS since, until
            FROM (
                SELECT project_id, lead(bucket) OVER (
                    PARTITION BY project_id ORDER BY cell) AS until,
                    make_timestamptz(epoch_us(moment) + :gap) AS moment
                FROM cells)
            WHERE moment < :end AND (until IS NULL OR since < until)),
        opened AS (
            SELECT project_id, {scope.bucket("entered_at")} AS since,
                {scope.bucket("left_at")} AS until
            FROM ({stages(scope)})
            WHERE status NOT IN {ENDS} AND entered_at < :end),
        stalled AS (
            SELECT greatest(silent.since, opened.since) AS since,
                least(silent.until, opened.until) AS until
            FROM silent JOIN opened USING (project_id)
            WHERE silent.since < coalesce(opened.until, 'infinity')
                AND opened.since < coalesce(silent.until, 'infinity'))
        SELECT bucket, CAST(sum(created) AS BIGINT), CAST(sum(active) AS BIGINT),
            CAST(sum(completed) AS BIGINT), CAST(sum(stalled) AS BIGINT)
        FROM (
            SELECT {scope.bucket("moment")} AS bucket, 1 AS created, 0 AS active,
                0 AS completed, 0 AS stalled
            FROM (SELECT id, created_at AS moment FROM projects)
            WHERE moment < :end AND {in_period} AND {scope.where(project="id")}
            UNION ALL
            SELECT make_timestamp((cell * {1 << power} + bit) * {length} - {shift}),
                0, count(*), 0, 0
            FROM cells CROSS JOIN range({1 << power}) AS all_bits(bit)
            WHERE (bits >> bit) & 1 = 1 GROUP BY cell, bit
            UNION ALL
            SELECT {scope.bucket("moment")}, 0, 0, 1, 0
            FROM (
                SELECT min(occurred_at) AS moment FROM changes
                WHERE after = 'completed' GROUP BY project_id)
            WHERE moment < :end AND {in_period}
            UNION ALL
            SELECT since, 0, 0, 0, 1 FROM stalled
            UNION ALL
            SELECT until, 0, 0, 0, -1 FROM stalled WHERE until IS NOT NULL)
        GROUP BY bucket ORDER BY bucket
    """


def _summed_up(
    rows: list[ProjectTrend], scope: Scope, end: datetime
) -> list[ProjectTrend]:
    """
    How many are stalled, of how many came to be and ceased to be; until the end.
    """
    told = {row.bucket: row for row in rows if row.bucket < end}
    buckets = scope.until_end(told, end)
    before = [row for row in rows if buckets and row.bucket < buckets[0]]
    stalled = sum(row.stalled for row in before)
    found = []
    for bucket in buckets:
        row = told.get(bucket) or ProjectTrend(bucket, 0, 0, 0, 0)
        stalled += row.stalled
        found.append(row._replace(stalled=stalled))
    return found


def _cohorts_sql(scope: Scope) -> str:
    """
    Weeks are counted on clocks of the zone, where all of them are equally long.
    """
    clock = scope.wall_clock("a.occurred_at")
    since_cohort = f"epoch_us({clock}) - epoch_us(p.cohort)"
    now = f"epoch_us({scope.wall_clock('CAST(:at AS TIMESTAMPTZ)')})"
    return f"""
        WITH members AS MATERIALIZED (
            SELECT id, created_at, {scope.bucket("created_at")} AS cohort
            FROM projects
            WHERE created_at <= :at
                AND {scope.where(time="created_at", project="id")}),
        lives AS (
            SELECT cohort, count(*) AS projects,
                unnest(range(least(:weeks, 1 + ({now} - epoch_us(cohort)) // {_WEEK})))
                    AS week
            FROM members GROUP BY cohort),
        active AS (
            SELECT cohort, week, count(*) AS active
            FROM (
                SELECT DISTINCT p.id, p.cohort, ({since_cohort}) // {_WEEK} AS week
                FROM activity a JOIN members p ON p.id = a.project_id
                WHERE {since_cohort} BETWEEN 0 AND :weeks * {_WEEK} - 1
                    AND a.occurred_at <= :at AND {scope.where(project="a.project_id")})
            GROUP BY cohort, week)
        SELECT cohort, week, projects,
            CASE WHEN week = 0 THEN projects ELSE coalesce(active, 0) END AS busy,
            busy / projects
        FROM lives LEFT JOIN active USING (cohort, week)
        ORDER BY cohort, week
    """
