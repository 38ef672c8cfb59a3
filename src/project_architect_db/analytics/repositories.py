"""
Questions about code repositories: which are busy, when, and how well they are.

They read the `commit` events of activity, as imports of git trees write them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.contributors import (
    LINES,
    ContributorQuestions,
    commits,
    first_of,
)
from project_architect_db.analytics.questions import Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.repository_health import HealthQuestions
from project_architect_db.analytics.scope import Filters, Scope


class RepositoryActivity(NamedTuple):
    """
    What was committed to a repository.

    Attributes:
        repository_id: Its id.
        name: Its name.
        project_id: The project it belongs to.
        commits: How many.
        authors: Different people who made them.
        insertions: Lines added by all of them.
        deletions: Lines removed.
        first_commit_at: When the first was made, in the period.
        last_commit_at: And the last.
    """

    repository_id: int
    name: str
    project_id: int
    commits: int
    authors: int
    insertions: int
    deletions: int
    first_commit_at: datetime
    last_commit_at: datetime


class CommitsInTime(NamedTuple):
    """
    What was committed in a bucket of time.

    Attributes:
        bucket: When it begins.
        commits: How many.
        authors: Different people who made them.
        insertions: Lines added by all of them.
        deletions: Lines removed.
    """

    bucket: datetime
    commits: int
    authors: int
    insertions: int
    deletions: int


class RepositoryQuestions(HealthQuestions, ContributorQuestions):
    """
    What can be asked about code repositories.
    """

    def repository_activity(
        self, *, limit: int = 100, **filters: Unpack[Filters]
    ) -> Question[Report[RepositoryActivity]]:
        """
        What was committed to each repository that has commits, the busiest first.

        A first scan, of ids alone, finds the busiest; only of these are the payloads
        read. The time is that of the commits.

        Args:
            limit: How many repositories at most.
            filters: As in all questions.
        """
        require_count("limit", limit)
        scope = Scope.of(filters)
        where = commits(scope)
        return Query(
            name="repository_activity",
            title="Busiest repositories",
            sql=f"""
                WITH most AS MATERIALIZED (
                    SELECT repository.id, name, repository.project_id, commits
                    FROM (
                        SELECT entity_id, count(*) AS commits
                        FROM activity WHERE {where} GROUP BY entity_id)
                    JOIN repositories AS repository ON repository.id = entity_id
                    ORDER BY commits DESC, repository.id LIMIT :limit)
                SELECT most.id, any_value(name), any_value(most.project_id),
                    any_value(commits) AS commits, count(DISTINCT actor),
                    CAST(coalesce(sum(lines.insertions), 0) AS BIGINT),
                    CAST(coalesce(sum(lines.deletions), 0) AS BIGINT),
                    min(occurred_at), max(occurred_at)
                FROM (
                    SELECT entity_id, actor, occurred_at, {LINES} AS lines
                    FROM activity WHERE {where})
                JOIN most ON most.id = entity_id
                GROUP BY most.id ORDER BY commits DESC, most.id
            """,
            row=RepositoryActivity,
            tables=("activity", "repositories"),
            scope=scope,
            values={"limit": limit},
            view=first_of(
                "bar",
                x=field("commits", "Q"),
                y=field("name", "N", "repository", sort="-x"),
                color=field("authors", "Q"),
            ),
        ).asked_by(self)

    def commits_over_time(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[CommitsInTime]]:
        """
        What was committed when; where nothing was, it says 0.

        One scan and one GROUP BY; both numbers of a payload are read at once.
        """
        scope = Scope.of(filters)
        return Query(
            name="commits_over_time",
            title="Commits over time",
            sql=f"""
                SELECT {scope.bucket("occurred_at")} AS bucket, count(*),
                    count(DISTINCT actor),
                    CAST(coalesce(sum(lines.insertions), 0) AS BIGINT),
                    CAST(coalesce(sum(lines.deletions), 0) AS BIGINT)
                FROM (
                    SELECT actor, occurred_at, {LINES} AS lines
                    FROM activity WHERE {commits(scope)})
                GROUP BY bucket ORDER BY bucket
            """,
            row=CommitsInTime,
            tables=("activity",),
            scope=scope,
            finish=partial(_without_gaps, scope),
            view=view(
                {"type": "line", "interpolate": "step-after"},
                x=field("bucket", "T", ""),
                y=field("commits", "Q"),
            ),
        ).asked_by(self)


def _without_gaps(scope: Scope, rows: list[CommitsInTime]) -> Sequence[CommitsInTime]:
    told = {row.bucket: row for row in rows}
    return [
        told.get(each) or CommitsInTime(each, 0, 0, 0, 0)
        for each in scope.all_buckets(told)
    ]
