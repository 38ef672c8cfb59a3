"""
What an import did, to its caller and in the activity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from project_architect_db.base import utc_now
from project_architect_db.domain.models import Activity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

ACTOR = "import"
"""Who made what nobody else did, as activity tells."""

AS_ONE = {"render_nulls": True}
"""For inserts: NULLs are sent, or SQLAlchemy would start anew at each of them."""

UNSEEN = {"synchronize_session": False}
"""For statements on rows of which no object is loaded."""


@dataclass(slots=True)
class ImportReport:
    """
    What an import did.

    Attributes:
        project_id: The project, created by the first import of this tree.
        repository_id: The repository in it.
        added: Documents that were new.
        updated: Documents whose file had changed.
        unchanged: Documents left as they were.
        moved: Documents whose file is in another place, with the same content.
        removed: Documents whose file is gone.
        skipped: Files that are no text, by reason.
        commits: Commits that were new.
        releases: Tags that were new, or had been moved.
        conversations: Conversations that were new, or got messages.
        forgotten: Commits that the history, rewritten since, does not have any more.
        events: Rows written to the activity.
    """

    project_id: int
    repository_id: int
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    commits: int = 0
    releases: int = 0
    conversations: int = 0
    forgotten: int = 0
    events: int = 0

    async def record(
        self, session: AsyncSession, events: Sequence[Mapping[str, Any]]
    ) -> None:
        """
        Write events of the project in the transaction of what they tell of.

        Args:
            session: Of that transaction.
            events: Each with `entity`, `action` and what else is to be in its row.
        """
        common: dict[str, Any] = {
            "project_id": self.project_id, "entity_id": None, "actor": ACTOR,
            "payload": {}, "occurred_at": utc_now(),
        }  # fmt: skip
        if events:
            rows = [{**common, **event} for event in events]
            await session.execute(insert(Activity), rows, execution_options=AS_ONE)
            self.events += len(rows)

    async def record_count(
        self, session: AsyncSession, entity: str, action: str, count: int,
        **payload: Any,
    ) -> None:  # fmt: skip
        """
        Write one event that tells of many records, unless there are none.
        """
        if count:
            payload = {"count": count, **payload}
            event = {"entity": entity, "action": action, "payload": payload}
            await self.record(session, [event])
