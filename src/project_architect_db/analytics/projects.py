"""
Questions about projects: their status, how they get on, and what becomes of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.project_completion import ProjectCompletionQuestions
from project_architect_db.analytics.project_stages import changes, stages, status_order
from project_architect_db.analytics.project_trends import ProjectTrendQuestions
from project_architect_db.analytics.questions import Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.vocabulary import PROJECT_STATUSES


class StatusShare(NamedTuple):
    """
    How many projects have a status.

    Attributes:
        status: The status.
        projects: How many have it.
        share: Of all projects, from 0 to 1.
    """

    status: str
    projects: int
    share: float


class StatusCount(NamedTuple):
    """
    How many projects had a status when a bucket ended.

    Attributes:
        bucket: When it begins.
        status: The status.
        projects: How many had it when it ended.
    """

    bucket: datetime
    status: str
    projects: int


class ProjectQuestions(ProjectCompletionQuestions, ProjectTrendQuestions):
    """
    What can be asked about projects.
    """

    def status_distribution(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[StatusShare]]:
        """
        How many projects have which status now; of those created in the period.

        One GROUP BY, and a window over its groups for the shares.
        """
        scope = Scope.of(filters)
        where = scope.where(time="created_at", project="id")
        return Query(
            name="status_distribution",
            title="Projects by status",
            sql=f"""
                SELECT status, count(*) AS projects,
                    count(*) / sum(count(*)) OVER () AS share
                FROM projects WHERE {where}
                GROUP BY status ORDER BY projects DESC, status
            """,
            row=StatusShare,
            tables=("projects",),
            scope=scope,
            view=view(
                "bar", x=field("projects", "Q"), y=field("status", "N", sort="-x")
            ),
        ).asked_by(self)

    @of_the_present
    def status_over_time(
        self, *, at: datetime | None = None, **filters: Unpack[Filters]
    ) -> Question[Report[StatusCount]]:
        """
        How many projects had which status at the end of each bucket of the period.

        Each stage of a project adds one to its status when it begins, and takes it
        away when it ends: these are summed up by bucket, and then over time.

        Args:
            at: The present; what is later is not told.
            filters: See `Filters`.
        """
        scope, now = Scope.of(filters), present(at)
        end = now if scope.until is None else min(scope.until, now)
        return Query(
            name="status_over_time",
            title="Status of projects over time",
            sql=f"""
                WITH changes AS ({changes(scope)}),
                stages AS MATERIALIZED ({stages(scope)})
                SELECT {scope.bucket("moment")} AS bucket, status,
                    CAST(sum(step) AS BIGINT) AS projects
                FROM (
                    SELECT status, entered_at AS moment, 1 AS step FROM stages
                    UNION ALL
                    SELECT status, left_at, -1 FROM stages WHERE left_at IS NOT NULL)
                WHERE moment < :end
                GROUP BY bucket, status ORDER BY bucket, status
            """,
            row=StatusCount,
            tables=("projects", "activity"),
            scope=scope,
            view=view(
                {"type": "area", "interpolate": "step-after"},
                x=field("bucket", "T", ""), y=field("projects", "Q", stack=True),
                color=field("status", "N", sort=PROJECT_STATUSES.words),
            ),
            values={"end": end},
            finish=lambda rows: _summed_up(rows, scope, end),
        ).asked_by(self)  # fmt: skip


def _summed_up(
    rows: list[StatusCount], scope: Scope, end: datetime
) -> list[StatusCount]:
    """
    How many there are, of how many came and went.
    """
    steps = {row[:2]: row.projects for row in rows}
    statuses = sorted({row.status for row in rows}, key=status_order)
    buckets = scope.until_end({row.bucket for row in rows}, end)
    counts = dict.fromkeys(statuses, 0)
    for row in rows:
        if buckets and row.bucket < buckets[0]:
            counts[row.status] += row.projects
    found = []
    for bucket in buckets:
        for status in statuses:
            counts[status] += steps.get((bucket, status), 0)
            found.append(StatusCount(bucket, status, counts[status]))
    return found
