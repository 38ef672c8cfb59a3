"""
Questions about how long conversations stay in a phase.
"""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple, Unpack

from project_architect_db.analytics.charts import Spec, field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.vocabulary import PHASES
from project_architect_db.errors import InvalidQuestionError

FEWEST_STAYS = 5
"""In a phase, to say what is usual there."""

TABLES = ("activity", "conversations")


class PhaseDuration(NamedTuple):
    """
    How long conversations are in a phase.

    Attributes:
        phase: The phase.
        stays: How often a conversation was there.
        conversations: How many were.
        lasting: Stays that are not over.
        mean_seconds: Of a stay.
        median_seconds: Half of the stays are shorter.
        p90_seconds: Nine of ten stays are shorter.
        max_seconds: The longest stay.
    """

    phase: str
    stays: int
    conversations: int
    lasting: int
    mean_seconds: float
    median_seconds: float
    p90_seconds: float
    max_seconds: float


class Bottleneck(NamedTuple):
    """
    A stay in a phase that took much longer than others in it.

    Attributes:
        conversation_id: Of whom.
        title: Of the conversation.
        project_id: Its project.
        phase: Where it stayed.
        entered_at: Since when.
        lasts: It is still there.
        seconds: How long.
        typical_seconds: The median of the stays in that phase.
        limit_seconds: From there on a stay is taken to be unusual.
        times: How often the typical stay is in this one; `None` if that is 0 seconds.
    """

    conversation_id: int
    title: str
    project_id: int
    phase: str
    entered_at: datetime
    lasts: bool
    seconds: float
    typical_seconds: float
    limit_seconds: float
    times: float | None


class StayQuestions(Asker):
    """
    What can be asked about the time that conversations spend in phases.
    """

    @of_the_present
    def phase_durations(
        self, *, at: datetime | None = None, **filters: Unpack[Filters]
    ) -> Question[Report[PhaseDuration]]:
        """
        How long conversations are in each phase; of stays that began in the period.

        The creation of a conversation and its moves are put in one order, where each
        stay lasts until the next move; one window finds it.

        Args:
            at: Until when stays that last are counted; by default until this minute
                ends.
        """
        scope = Scope.of(filters)
        return Query(
            name="phase_durations",
            title="How long conversations stay in a phase",
            sql=f"""
                WITH {_stays(scope)}
                SELECT phase, count(*) AS stays,
                    count(DISTINCT conversation_id) AS conversations,
                    count(*) FILTER (WHERE lasts) AS lasting,
                    avg(seconds), quantile_cont(seconds, 0.5),
                    quantile_cont(seconds, 0.9), max(seconds)
                FROM stays GROUP BY phase
                ORDER BY list_position(CAST(:phases AS VARCHAR[]), phase), phase
            """,
            row=PhaseDuration,
            tables=TABLES,
            scope=scope,
            values={"at": present(at), "phases": list(PHASES.words)},
            view=_in_days(
                "median_seconds", view(
                    "bar", x=field("days", "Q", "median stay in days"),
                    y=by_phase("phase"),
                ),
            ),
        ).asked_by(self)  # fmt: skip

    @of_the_present
    def bottlenecks(
        self, *, k: float = 1.5, limit: int = 100, at: datetime | None = None,
        **filters: Unpack[Filters],
    ) -> Question[Report[Bottleneck]]:  # fmt: skip
        """
        Stays in a phase that took unusually long, the worst first; begun in the period.

        Unusual is what is beyond Tukey's fence, Q3 + k · (Q3 - Q1), where Q1 and Q3 are
        the quartiles of the stays in that phase, of which there must be at least five.
        Source: https://www.itl.nist.gov/div898/handbook/prc/section1/prc16.htm

        Two looks at the stays that `phase_durations` counts: for the fences of the
        phases, and for what is beyond them.

        Args:
            k: 1.5 for outliers, 3 for extreme ones.
            limit: How many are told of, at most.
            at: Until when stays that last are counted; by default until this minute
                ends.
        """
        scope = Scope.of(filters)
        limit = require_count("limit", limit)
        return Query(
            name="bottlenecks",
            title="Conversations that stay in a phase unusually long",
            sql=f"""
                WITH {_stays(scope)},
                phases AS (
                    SELECT phase, parts[2] AS typical,
                        parts[3] + :k * (parts[3] - parts[1]) AS fence
                    FROM (
                        SELECT phase,
                            quantile_cont(seconds, [0.25, 0.5, 0.75]) AS parts
                        FROM stays GROUP BY phase HAVING count(*) >= {FEWEST_STAYS}))
                SELECT conversation_id, title, project_id, stays.phase, entered_at,
                    lasts, seconds, typical, fence,
                    seconds / nullif(typical, 0) AS times
                FROM stays JOIN phases ON phases.phase = stays.phase
                JOIN conversations ON conversations.id = conversation_id
                WHERE seconds > fence
                ORDER BY times DESC NULLS LAST, seconds DESC, conversation_id,
                    entered_at
                LIMIT :limit
            """,
            row=Bottleneck,
            tables=TABLES,
            scope=scope,
            values={"at": present(at), "k": _factor(k), "limit": limit},
            view=_in_days(
                "seconds", view(
                    "point", x=field("days", "Q", "days in the phase"),
                    y=by_phase("phase"), tooltip=field("title", "N"),
                    color=field("times", "Q", "times the typical stay"),
                ),
            ),
        ).asked_by(self)  # fmt: skip


def moves_of(scope: Scope) -> str:
    """
    SQL for the moves of conversations from phase to phase.
    """
    return f"""
        SELECT c.id AS conversation_id, a.id AS event, a.occurred_at AS moment,
            a.payload ->> '$.from' AS source, a.payload ->> '$.to' AS target,
            c.phase AS present, c.updated_at
        FROM activity a JOIN conversations c ON c.id = a.entity_id
        WHERE a.entity = 'conversation' AND a.action = 'phase_changed'
            AND {scope.where(project="c.project_id")}
    """


def _stays(scope: Scope) -> str:
    """
    SQL for the table `stays`, of those that began in the period.

    As `domain.stages.read_stages` tells of one conversation: it begins in the phase
    that its first move is from, or without any in the one it has. Where it has another
    one than its last move says, SQL has changed it, when it was last updated.
    """
    return f"""
        turns AS MATERIALIZED (
            SELECT conversation_id, present, moment AS entered_at,
                CASE WHEN event = 0 THEN coalesce(lead(source) OVER moves, present)
                ELSE target END AS phase,
                lead(moment) OVER moves AS next_at,
                CASE WHEN next_at IS NULL AND target <> present
                THEN greatest(moment, updated_at) END AS moved_at
            FROM (
                SELECT id AS conversation_id, 0 AS event, created_at AS moment,
                    NULL AS source, NULL AS target, phase AS present, updated_at
                FROM conversations WHERE {scope.where(project="project_id")}
                UNION ALL
                SELECT conversation_id, event, moment, source,
                    coalesce(target, present), present, updated_at
                FROM ({moves_of(scope)}))
            WINDOW moves AS (
                PARTITION BY conversation_id ORDER BY event > 0, moment, event)),
        stays AS (
            SELECT *, left_at IS NULL AS lasts, greatest(0, epoch_us(
                coalesce(left_at, CAST(:at AS TIMESTAMPTZ))) - epoch_us(entered_at))
                / 1e6 AS seconds
            FROM (
                SELECT conversation_id, phase, entered_at,
                    coalesce(next_at, moved_at) AS left_at
                FROM turns
                UNION ALL
                SELECT conversation_id, present, moved_at, NULL
                FROM turns WHERE moved_at IS NOT NULL)
            WHERE {scope.where(time="entered_at")})
    """


def _factor(k: Any) -> float:
    is_number = isinstance(k, int | float) and not isinstance(k, bool)
    if not is_number or not isfinite(k) or k < 0:
        raise InvalidQuestionError(
            f"expected a number from 0 on, not {k!r}", argument="k", value=k
        )
    return float(k)


def by_phase(name: str) -> Spec:
    """
    A channel of phases, in their order.
    """
    return field(name, "N", sort=list(PHASES.words))


def _in_days(seconds: str, shown: Spec) -> Spec:
    days = {"calculate": f"datum.{seconds} / 86400", "as": "days"}
    return {"transform": [days], **shown}
