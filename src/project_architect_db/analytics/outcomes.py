"""
Questions about what completed, stalled and active projects differ in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.project_stages import ENDS
from project_architect_db.analytics.project_trends import STALLED_AFTER
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.vocabulary import ROLES


class Outcome(NamedTuple):
    """
    What projects that ended alike have in common.

    Attributes:
        outcome: ``"completed"``: it is, or was before it was archived; ``"stalled"``:
            it is open, and nothing happened for long; ``"active"``: it is open;
            ``"archived"``: without having been completed.
        projects: How many there are.
        conversations: The median of how many a project has, as all that follow.
        messages: In these.
        documents: That it has.
        commits: Made in it.
        builds: Made in it.
        people: Who was active in it, builds and assistants apart.
        active_days: On which something happened.
        build_success_rate: Of all builds of all of these projects that passed or
            failed, from 0 to 1; `None` without any.
    """

    outcome: str
    projects: int
    conversations: float
    messages: float
    documents: float
    commits: float
    builds: float
    people: float
    active_days: float
    build_success_rate: float | None


class OutcomeQuestions(Asker):
    """
    What can be asked about outcomes.
    """

    @of_the_present
    def compare_outcomes(
        self, *, stalled_after: int = STALLED_AFTER, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[Outcome]]:  # fmt: skip
        """
        Completed, stalled and active projects side by side.

        Of those created in the period. Each number is grouped by project on its own,
        as each needs few columns of activity: days as bits, 64 of them in one group,
        and only pairs of a project and an actor for the people. Statuses are those of
        now.

        Args:
            stalled_after: Days without activity before `at`.
            at: The present; what is later is not counted.
            filters: See `Filters`.
        """
        require_count("stalled_after", stalled_after, most=10_000)
        scope, now = Scope.of(filters), present(at)
        return Query(
            name="compare_outcomes",
            title="Completed, stalled and active projects",
            sql=_outcomes_sql(scope),
            row=Outcome,
            tables=("projects", "conversations", "documents", "activity"),
            scope=scope,
            values={"at": now, "idle_since": now - timedelta(days=stalled_after)},
            view=_SIDE_BY_SIDE,
        ).asked_by(self)


_MEDIANS = (
    "conversations", "messages", "documents", "commits", "builds", "people",
    "active_days",
)  # fmt: skip

_LABELS = {"labelAngle": 0, "labelExpr": "replace(datum.label, '_', ' ')"}

_SIDE_BY_SIDE = {
    "transform": [{"fold": list(_MEDIANS)}],
    **view(
        "bar",
        x=field("key", "N", "", sort=_MEDIANS, axis=_LABELS),
        y=field("value", "Q", "median per project"),
        xOffset=field("outcome", "N"),
        color=field("outcome", "N"),
    ),
}


def is_person() -> str:
    """
    SQL for an event that somebody is active in: messages of nobody have their role.
    """
    return f"action <> 'build' AND actor NOT IN {ROLES.words}"


def _outcomes_sql(scope: Scope) -> str:
    among = scope.where(project="project_id")
    told = f"occurred_at <= :at AND {among}"
    day = f"CAST({scope.wall_clock('occurred_at')} AS DATE) - DATE '1970-01-01'"
    medians = ", ".join(f"median(coalesce({name}, 0))" for name in _MEDIANS)
    return f"""
        WITH recent AS (
            SELECT DISTINCT project_id FROM activity
            WHERE occurred_at >= :idle_since AND {told}),
        made AS (
            SELECT project_id, count(*) AS commits FROM activity
            WHERE action = 'commit' AND {told} GROUP BY project_id),
        team AS (
            SELECT project_id, count(*) AS people
            FROM (
                SELECT DISTINCT project_id, actor FROM activity
                WHERE {is_person()} AND {told})
            GROUP BY project_id),
        days AS (
            SELECT project_id, CAST(sum(bit_count(bits)) AS BIGINT) AS active_days
            FROM (
                SELECT project_id, bit_or(1::UBIGINT << (day & 63)) AS bits
                FROM (SELECT project_id, {day} AS day FROM activity WHERE {told})
                GROUP BY project_id, day >> 6)
            GROUP BY project_id),
        ends AS (
            SELECT project_id, count(*) FILTER (action = 'build') AS builds,
                count(*) FILTER (word = 'passed') AS passed,
                count(*) FILTER (word = 'failed') AS failed,
                count(*) FILTER (word = 'completed') > 0 AS was_completed
            FROM (
                SELECT project_id, action, CASE WHEN action = 'build'
                    THEN payload ->> '$.status' ELSE payload ->> '$.to' END AS word
                FROM activity
                WHERE {told} AND (action = 'build' AND entity = 'repository'
                    OR action = 'status_changed' AND entity = 'project'))
            GROUP BY project_id),
        talks AS (
            SELECT project_id, count(*) AS conversations,
                sum(json_array_length(messages)) AS messages
            FROM conversations WHERE created_at <= :at AND {among}
            GROUP BY project_id),
        texts AS (
            SELECT project_id, count(*) AS documents
            FROM documents WHERE created_at <= :at AND {among} GROUP BY project_id)
        SELECT CASE WHEN status NOT IN {ENDS} THEN
                CASE WHEN recent.project_id IS NULL AND p.created_at < :idle_since
                THEN 'stalled' ELSE 'active' END
            WHEN status = 'completed' OR was_completed THEN 'completed'
            ELSE 'archived' END AS outcome,
            count(*) AS projects, {medians},
            sum(passed) / nullif(sum(passed) + sum(failed), 0)
        FROM projects p
        LEFT JOIN recent ON recent.project_id = p.id
        LEFT JOIN made ON made.project_id = p.id
        LEFT JOIN team ON team.project_id = p.id
        LEFT JOIN days ON days.project_id = p.id
        LEFT JOIN ends ON ends.project_id = p.id
        LEFT JOIN talks ON talks.project_id = p.id
        LEFT JOIN texts ON texts.project_id = p.id
        WHERE p.created_at <= :at
            AND {scope.where(time="p.created_at", project="p.id")}
        GROUP BY outcome ORDER BY outcome = 'archived', outcome
    """
