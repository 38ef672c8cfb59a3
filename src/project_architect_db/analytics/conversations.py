"""
Questions about conversations: how they go through their phases.
"""

from __future__ import annotations

from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import Spec, field, view
from project_architect_db.analytics.conversation_stays import (
    TABLES,
    StayQuestions,
    by_phase,
    moves_of,
)
from project_architect_db.analytics.questions import Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope
from project_architect_db.domain.vocabulary import PHASES


class PhaseTransition(NamedTuple):
    """
    How many conversations went from one phase to another: a cell of a matrix.

    Attributes:
        source: The phase they left.
        target: The phase they came to.
        conversations: How many did, however often.
        share: Of those that left the source, from 0 to 1. One that left it twice may be
            in two shares.
    """

    source: str
    target: str
    conversations: int
    share: float


class FunnelStep(NamedTuple):
    """
    How many conversations came as far as a phase.

    Attributes:
        phase: The phase.
        conversations: That were in it, or in a later one.
        share: Of all conversations, from 0 to 1; `None` if there are none.
        share_of_previous: Of those of the step before; `None` if there are none.
    """

    phase: str
    conversations: int
    share: float | None
    share_of_previous: float | None


class ConversationQuestions(StayQuestions):
    """
    What can be asked about the phases of conversations.

    The phase of a conversation is what its row says; the ones before, and when it left
    them, are what the activity says. Only conversations that still exist are looked at.
    """

    def phase_transitions(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[PhaseTransition]]:
        """
        How many conversations went from which phase to which, in the period.

        Moves are counted by both phases and by the first alone, in one scan: the latter
        are all that left it, and the largest of their group.
        """
        scope = Scope.of(filters)
        return Query(
            name="phase_transitions",
            title="From phase to phase",
            sql=f"""
                SELECT source, target, conversations, share
                FROM (
                    SELECT source, target, conversations, is_total, conversations
                        / max(conversations) OVER (PARTITION BY source) AS share
                    FROM (
                        SELECT source, target, grouping(target) AS is_total,
                            count(DISTINCT conversation_id) AS conversations
                        FROM ({moves_of(scope)})
                        WHERE source <> target AND {scope.where(time="moment")}
                        GROUP BY GROUPING SETS ((source, target), (source))))
                WHERE is_total = 0
                ORDER BY list_position(CAST(:phases AS VARCHAR[]), source), source,
                    list_position(CAST(:phases AS VARCHAR[]), target), target
            """,
            row=PhaseTransition,
            tables=TABLES,
            scope=scope,
            values={"phases": list(PHASES.words)},
            view=_matrix(),
        ).asked_by(self)

    def phase_funnel(self, **filters: Unpack[Filters]) -> Question[Report[FunnelStep]]:
        """
        How many conversations came as far as each phase; of those begun in the period.

        The phases are those of `PHASES`, in their order. Each conversation counts for
        the furthest phase it ever was in; a running sum from the last phase on adds up
        those that came further.
        """
        scope = Scope.of(filters)
        where = scope.where(time="created_at", project="project_id")
        return Query(
            name="phase_funnel",
            title="How far conversations get",
            sql=f"""
                WITH reached AS MATERIALIZED (
                    SELECT step, count(*) AS conversations
                    FROM (
                        SELECT greatest({_step("phase")}, furthest) AS step
                        FROM conversations LEFT JOIN (
                            SELECT conversation_id, max(greatest(
                                {_step("source")}, {_step("target")})) AS furthest
                            FROM ({moves_of(scope)}) GROUP BY conversation_id
                        ) ON conversation_id = id
                        WHERE {where})
                    GROUP BY step)
                SELECT phase, so_far, so_far / nullif(total, 0),
                    so_far / nullif(lag(so_far) OVER (ORDER BY step), 0)
                FROM (
                    SELECT phase, step, CAST(coalesce(sum(conversations)
                        OVER (ORDER BY step DESC), 0) AS BIGINT) AS so_far
                    FROM (
                        SELECT unnest(CAST(:phases AS VARCHAR[])) AS phase,
                            unnest(range(1, len(CAST(:phases AS VARCHAR[])) + 1))
                                AS step)
                    LEFT JOIN reached USING (step)),
                    (SELECT sum(conversations) AS total FROM reached)
                ORDER BY step
            """,
            row=FunnelStep,
            tables=TABLES,
            scope=scope,
            values={"phases": list(PHASES.words)},
            view=view("bar", x=field("conversations", "Q"), y=by_phase("phase")),
        ).asked_by(self)


def _step(phase: str) -> str:
    return f"coalesce(list_position(CAST(:phases AS VARCHAR[]), {phase}), 0)"


def _matrix() -> Spec:
    """
    A heat map with the numbers in it.
    """
    number = {"text": field("conversations", "Q"), "color": {"value": "black"}}
    color = field("share", "Q", "share of those that left", scale={"scheme": "blues"})
    return {
        "encoding": {"x": by_phase("target"), "y": by_phase("source")},
        "layer": [
            {"mark": "rect", "encoding": {"color": color}},
            {"mark": "text", "encoding": number},
        ],
    }
