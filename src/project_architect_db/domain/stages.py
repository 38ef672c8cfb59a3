"""
How long a record was in which status or phase, as its activity tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from project_architect_db.base import utc_now
from project_architect_db.domain.models import Activity

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Stage:
    """
    A time that a record spent in one status or phase.

    Attributes:
        name: Of the status or phase.
        entered_at: When it got there; where activity does not tell of the last change,
            when the record was last changed, which may be later.
        left_at: When it went on; `None` if it is there now.
    """

    name: str
    entered_at: datetime
    left_at: datetime | None = None

    @property
    def duration(self) -> timedelta:
        """
        How long it was there, or has been so far.
        """
        return (self.left_at or utc_now()) - self.entered_at


async def read_stages(
    session: AsyncSession, record: Any, action: str, current: str
) -> list[Stage]:
    """
    The stages of a record, in their order; the last one is where it is now.

    Args:
        session: Where to read.
        record: A project or a conversation.
        action: What activity calls a change.
        current: Where the record is now.
    """
    rows = await session.execute(
        select(Activity.occurred_at, Activity.payload)
        .where(
            Activity.entity == type(record).__name__.lower(),
            Activity.entity_id == record.id,
            Activity.action == action,
        )
        .order_by(Activity.occurred_at, Activity.id)
    )
    stages, name, entered = [], current, record.created_at
    for number, (at, change) in enumerate(rows):
        name = name if number else str(change.get("from", current))
        stages.append(Stage(name, entered, at))
        name, entered = str(change.get("to", current)), at
    if name != current:  # an object or SQL has changed it, past the repository
        changed = max(entered, record.updated_at)
        stages.append(Stage(name, entered, changed))
        entered = changed
    return [*stages, Stage(current, entered)]


def duration(seconds: float | None) -> timedelta | None:
    """
    What SQL gives as seconds, where it gives anything.
    """
    return None if seconds is None else timedelta(seconds=seconds)
