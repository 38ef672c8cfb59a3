"""
Questions over projects and all that is in them.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.outcomes import OutcomeQuestions, is_person
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.project_stages import changes, stages
from project_architect_db.analytics.questions import Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.vocabulary import PROJECT_STATUSES


class LifecycleStage(NamedTuple):
    """
    A time that a project spent in one status.

    Attributes:
        project_id: Of the project.
        name: Of the project.
        status: The status.
        entered_at: When it got there.
        left_at: When it went on; `None` if it is there now.
        seconds: How long it was there, or has been so far.
    """

    project_id: int
    name: str
    status: str
    entered_at: datetime
    left_at: datetime | None
    seconds: float


class Utilisation(NamedTuple):
    """
    What a project takes.

    Attributes:
        project_id: Of the project.
        name: Of the project.
        conversations: Begun in the period.
        messages: In these.
        documents: Added in the period.
        bytes: Of the content of these.
        repositories: Added in the period.
        commits: Made in the period.
        builds: Made in the period.
        build_seconds: How long these took, as far as they say.
        events: All activity in the period.
        people: Who was active in the period, builds and assistants apart.
    """

    project_id: int
    name: str
    conversations: int
    messages: int
    documents: int
    bytes: int
    repositories: int
    commits: int
    builds: int
    build_seconds: float
    events: int
    people: int


class CrossEntityQuestions(OutcomeQuestions):
    """
    What can be asked about projects and all that is in them.
    """

    @of_the_present
    def lifecycle(
        self, *, limit: int = 50, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[LifecycleStage]]:  # fmt: skip
        """
        Which statuses projects had, and when: the latest active ones first.

        Of the projects that were created or active in the period, all stages that
        reach into it. The latest activity of each project chooses them, and a window
        over the changes of these few tells when each stage ended.

        Args:
            limit: How many projects.
            at: The present, until which the stages last that were not left.
            filters: See `Filters`.
        """
        require_count("limit", limit, most=10_000)
        scope = Scope.of(filters)
        return Query(
            name="lifecycle",
            title="Lives of projects, the latest active first",
            sql=_lifecycle_sql(scope),
            row=LifecycleStage,
            tables=("projects", "activity"),
            scope=scope,
            values={"limit": limit, "at": present(at)},
            view=_LIVES,
        ).asked_by(self)

    def utilisation(
        self, *, limit: int = 20, **filters: Unpack[Filters]
    ) -> Question[Report[Utilisation]]:
        """
        What projects take, the ones with most events in the period first.

        A scan of activity counts events and chooses the projects; all else is counted
        for these alone.

        Args:
            limit: How many projects.
            filters: See `Filters`.
        """
        require_count("limit", limit, most=100_000)
        scope = Scope.of(filters)
        return Query(
            name="utilisation",
            title="Projects by events",
            sql=_utilisation_sql(scope),
            row=Utilisation,
            tables=(
                "projects", "conversations", "documents", "repositories", "activity",
            ),
            scope=scope,
            values={"limit": limit},
            view={
                "transform": [_NAMED],
                **view(
                    "bar",
                    x=field("events", "Q"),
                    y=field("project", "N", "", sort="-x"),
                    color=field("people", "Q"),
                ),
                "step": 20,
            },
        ).asked_by(self)  # fmt: skip


_NAMED = {"calculate": "datum.name + ' #' + datum.project_id", "as": "project"}
"""Names may be there twice."""

_LIVES = {
    "transform": [
        _NAMED,
        {"calculate": "toDate(datum.entered_at) + 1000 * datum.seconds", "as": "end"},
    ],
    **view(
        "bar",
        x=field("entered_at", "T", "", axis={"format": "%b %Y"}),
        x2={"field": "end"},
        y=field("project", "N", "", sort=None),
        color=field("status", "N", sort=PROJECT_STATUSES.words),
    ),
    "step": 20,
}


def _lifecycle_sql(scope: Scope) -> str:
    since = "" if scope.since is None else "AND coalesce(left_at > :since, true)"
    until = "" if scope.until is None else "AND entered_at < :until"
    return f"""
        WITH active AS (
            SELECT a.project_id, max(a.occurred_at) AS latest FROM activity a
            WHERE {scope.where(time="a.occurred_at", project="a.project_id")}
            GROUP BY a.project_id),
        chosen AS MATERIALIZED (
            SELECT p.id, p.name, p.status, p.created_at, p.updated_at,
                CASE WHEN {scope.where(time="p.created_at")}
                THEN greatest(latest, p.created_at) ELSE latest END AS latest
            FROM projects p LEFT JOIN active ON active.project_id = p.id
            WHERE {scope.where(project="p.id")}
                AND (active.latest IS NOT NULL OR {scope.where(time="p.created_at")})
            ORDER BY latest DESC, p.id LIMIT :limit),
        changes AS ({changes(scope)} AND a.project_id IN (SELECT id FROM chosen))
        SELECT project_id, name, stages.status, entered_at, left_at,
            greatest(epoch_us(coalesce(left_at, :at)) - epoch_us(entered_at), 0) / 1e6
                AS seconds
        FROM ({stages(scope, "chosen")}) stages
        JOIN chosen ON chosen.id = project_id
        WHERE true {since} {until}
        ORDER BY latest DESC, project_id, entered_at, left_at NULLS LAST
    """


def _utilisation_sql(scope: Scope) -> str:
    in_period = scope.where(time="created_at", project="project_id")
    told = scope.where(time="a.occurred_at", project="a.project_id")
    return f"""
        WITH counted AS (
            SELECT a.project_id, count(*) AS events FROM activity a
            WHERE {told} GROUP BY a.project_id),
        chosen AS MATERIALIZED (
            SELECT p.id, p.name, coalesce(events, 0) AS events
            FROM projects p LEFT JOIN counted ON counted.project_id = p.id
            WHERE {scope.where(project="p.id")}
            ORDER BY events DESC, p.id LIMIT :limit),
        talks AS (
            SELECT project_id, count(*) AS conversations,
                CAST(sum(json_array_length(messages)) AS BIGINT) AS messages
            FROM conversations
            WHERE project_id IN (SELECT id FROM chosen) AND {in_period}
            GROUP BY project_id),
        texts AS (
            SELECT project_id, count(*) AS documents,
                CAST(sum(size) AS BIGINT) AS bytes
            FROM documents
            WHERE project_id IN (SELECT id FROM chosen) AND {in_period}
            GROUP BY project_id),
        code AS (
            SELECT project_id, count(*) AS repositories FROM repositories
            WHERE project_id IN (SELECT id FROM chosen) AND {in_period}
            GROUP BY project_id),
        work AS (
            SELECT a.project_id, count(*) FILTER (action = 'commit') AS commits,
                count(*) FILTER (action = 'build') AS builds,
                sum(seconds) FILTER (isfinite(seconds)) AS seconds,
                count(DISTINCT actor) FILTER ({is_person()}) AS people
            FROM (
                SELECT a.project_id, action, actor, CASE WHEN action = 'build'
                    THEN try_cast(payload ->> '$.seconds' AS DOUBLE) END AS seconds
                FROM activity a
                WHERE a.project_id IN (SELECT id FROM chosen) AND {told}) a
            GROUP BY a.project_id)
        SELECT id, name, coalesce(conversations, 0), coalesce(messages, 0),
            coalesce(documents, 0), coalesce(bytes, 0), coalesce(repositories, 0),
            coalesce(commits, 0), coalesce(builds, 0), coalesce(seconds, 0), events,
            coalesce(people, 0)
        FROM chosen
        LEFT JOIN talks ON talks.project_id = id
        LEFT JOIN texts ON texts.project_id = id
        LEFT JOIN code ON code.project_id = id
        LEFT JOIN work ON work.project_id = id
        ORDER BY events DESC, id
    """
