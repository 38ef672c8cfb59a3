"""
Questions about who makes commits: how much of them, and how few people it depends on.

They read the `commit` events of activity, as imports of git trees write them.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import Spec, field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.dialect.time_buckets import bucket

LINES = """from_json(payload, '{"insertions":"BIGINT","deletions":"BIGINT"}')"""
"""Both numbers of a commit in one pass over its payload; NULL for what is none."""


MOST_SHOWN = 20
"""Bars in a picture."""

_PERCENT = {"format": "%"}


class Contribution(NamedTuple):
    """
    What somebody committed.

    Attributes:
        author: Who; `None` for all commits that do not say.
        commits: How many.
        share: Of all commits, from 0 to 1.
        insertions: Lines added.
        deletions: Lines removed.
        repositories: How many have commits of theirs.
        first_at: When the first of these was made, in the period.
        last_at: And the last.
        active_days: Days with commits, in the zone.
    """

    author: str | None
    commits: int
    share: float
    insertions: int
    deletions: int
    repositories: int
    first_at: datetime
    last_at: datetime
    active_days: int


class BusFactor(NamedTuple):
    """
    How few people a repository depends on.

    Attributes:
        repository_id: Its id.
        name: Its name.
        project_id: The project it belongs to.
        factor: The fewest people who made more than half of the commits.
        people: All who made any.
        commits: How many they made.
        top_author: Who made the most; the first by name of several.
        top_share: Of the commits, from 0 to 1.
    """

    repository_id: int
    name: str
    project_id: int
    factor: int
    people: int
    commits: int
    top_author: str
    top_share: float


class ContributorQuestions(Asker):
    """
    What can be asked about those who make commits.
    """

    def contributions(
        self, *, limit: int = 100, **filters: Unpack[Filters]
    ) -> Question[Report[Contribution]]:
        """
        Who committed how much, who committed the most first.

        One scan and one GROUP BY; a window over its groups for the shares, before the
        limit.

        Args:
            limit: How many people at most.
            filters: As in all questions.
        """
        require_count("limit", limit)
        scope = Scope.of(filters)
        return Query(
            name="contributions",
            title="Contributions",
            sql=f"""
                SELECT actor, count(*) AS commits,
                    count(*) / sum(count(*)) OVER () AS share,
                    CAST(coalesce(sum(lines.insertions), 0) AS BIGINT),
                    CAST(coalesce(sum(lines.deletions), 0) AS BIGINT),
                    count(DISTINCT entity_id), min(occurred_at), max(occurred_at),
                    count(DISTINCT {bucket("occurred_at", "day", scope.zone)})
                FROM (
                    SELECT actor, entity_id, occurred_at, {LINES} AS lines
                    FROM activity WHERE {commits(scope)})
                GROUP BY actor ORDER BY commits DESC, actor NULLS LAST LIMIT :limit
            """,
            row=Contribution,
            tables=("activity",),
            scope=scope,
            values={"limit": limit},
            view=first_of(
                "bar", x=field("commits", "Q"), y=field("author", "N", sort="-x")
            ),
        ).asked_by(self)

    def bus_factor(
        self, *, limit: int = 100, **filters: Unpack[Filters]
    ) -> Question[Report[BusFactor]]:
        """
        How few people made more than half of a repository's commits.

        Those that depend on the fewest come first; of these, the ones with the most
        commits. Commits whose author is not told are left out. The commits of each
        author are counted, and a window over them tells how many others had made
        before, from the busiest on. Source: https://en.wikipedia.org/wiki/Bus_factor

        Args:
            limit: How many repositories at most.
            filters: As in all questions.
        """
        require_count("limit", limit)
        scope = Scope.of(filters)
        return Query(
            name="bus_factor",
            title="How few people made more than half of the commits",
            sql=f"""
                SELECT id, name, project_id, factor, people, total, top_author,
                    top / total
                FROM (
                    SELECT entity_id, count(*) FILTER (2 * before <= total) AS factor,
                        count(*) AS people, any_value(total) AS total,
                        arg_min(actor, before) AS top_author, max(commits) AS top
                    FROM (
                        SELECT entity_id, actor, commits,
                            CAST(sum(commits) OVER sorted AS BIGINT) - commits
                                AS before,
                            CAST(sum(commits) OVER (PARTITION BY entity_id) AS BIGINT)
                                AS total
                        FROM (
                            SELECT entity_id, actor, count(*) AS commits
                            FROM activity
                            WHERE {commits(scope)} AND actor IS NOT NULL
                            GROUP BY entity_id, actor)
                        WINDOW sorted AS (
                            PARTITION BY entity_id ORDER BY commits DESC, actor
                            ROWS UNBOUNDED PRECEDING))
                    GROUP BY entity_id)
                JOIN repositories ON id = entity_id
                ORDER BY factor, total DESC, id LIMIT :limit
            """,
            row=BusFactor,
            tables=("activity", "repositories"),
            scope=scope,
            values={"limit": limit},
            view=first_of(
                "bar",
                x=field("top_share", "Q", "commits of one person", axis=_PERCENT),
                y=field("name", "N", "repository", sort=None),
                color=field("factor", "O", "bus factor"),
            ),
        ).asked_by(self)


def commits(scope: Scope) -> str:
    """
    SQL for which rows of activity are commits in a scope.
    """
    period = scope.where(time="occurred_at", project="activity.project_id")
    return f"entity = 'repository' AND action = 'commit' AND {period}"


def first_of(mark: str, **channels: Spec) -> Spec:
    """
    A view of the first rows alone: names of more could not be read.
    """
    place = {"window": [{"op": "row_number", "as": "place"}]}
    shown = {"filter": f"datum.place <= {MOST_SHOWN}"}
    return {**view(mark, **channels), "transform": [place, shown]}
