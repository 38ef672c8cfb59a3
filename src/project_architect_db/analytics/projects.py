"""
Questions about projects: their status, how they get on, and what becomes of them.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope


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


class ProjectQuestions(Asker):
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
