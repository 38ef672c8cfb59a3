"""
SQL for the statuses that projects had, and when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project_architect_db.domain.vocabulary import PROJECT_STATUSES

if TYPE_CHECKING:
    from project_architect_db.analytics.scope import Scope

ENDS = ("completed", "archived")
"""The statuses of projects that nobody works on any more."""


def status_order(status: str) -> tuple[Any, ...]:
    """
    What statuses are sorted by: from the idea on.
    """
    known = PROJECT_STATUSES.words
    return (known.index(status) if status in known else len(known), status)


def completions(scope: Scope) -> str:
    """
    SQL for when projects were completed for the first time: `project_id`, `moment`.
    """
    return f"""
        SELECT a.project_id, min(a.occurred_at) AS moment FROM activity a
        WHERE a.action = 'status_changed' AND a.entity = 'project'
            AND a.payload ->> '$.to' = 'completed'
            AND {scope.where(project="a.project_id")}
        GROUP BY a.project_id
    """


def changes(scope: Scope) -> str:
    """
    SQL for changes of status: `id`, `project_id`, `occurred_at`, `before`, `after`.
    """
    return f"""
        SELECT a.id, a.project_id, a.occurred_at,
            a.payload ->> '$.from' AS before, a.payload ->> '$.to' AS after
        FROM activity a
        WHERE a.action = 'status_changed' AND a.entity = 'project'
            AND {scope.where(project="a.project_id")}
    """


def stages(scope: Scope, among: str = "projects") -> str:
    """
    SQL for stages: `project_id`, `status`, `entered_at`, and `left_at` if it was left.

    Of what the table `changes` tells, as `domain.stages.read_stages` does of one
    project: it is created with the status that its first change is from, or without
    any with the one it has. Where it has another one than its last change says, SQL
    has changed it, when it was last updated.

    Args:
        scope: Has the only projects to look at.
        among: A table that has those columns of projects which are read here.
    """
    # A window instead of a join of each change with the next: one sort of them all.
    return f"""
        SELECT project_id, stage.status AS status, stage.entered_at AS entered_at,
            stage.left_at AS left_at
        FROM (
            SELECT project_id, unnest([
                {{'if': is_first, 'status': coalesce(before, now),
                    'entered_at': created_at, 'left_at': moment}},
                {{'if': moment IS NOT NULL, 'status': after,
                    'entered_at': moment, 'left_at': coalesce(next_moment, moved_at)}},
                {{'if': moved_at IS NOT NULL, 'status': now,
                    'entered_at': moved_at, 'left_at': NULL}}]) AS stage
            FROM (
                SELECT *, lead(moment) OVER changes AS next_moment,
                    row_number() OVER changes = 1 AS is_first,
                    CASE WHEN next_moment IS NULL AND after <> now
                    THEN greatest(moment, updated_at) END AS moved_at
                FROM (
                    SELECT p.id AS project_id, p.status AS now, p.created_at,
                        p.updated_at, c.id AS change, before,
                        coalesce(after, p.status) AS after,
                        CASE WHEN occurred_at < p.created_at THEN p.created_at
                        ELSE occurred_at END AS moment
                    FROM {among} p LEFT JOIN changes c ON c.project_id = p.id
                    WHERE {scope.where(project="p.id")})
                WINDOW changes AS (PARTITION BY project_id ORDER BY moment, change)))
        WHERE stage."if"
    """
