"""
The messages of a conversation: what they tell, and that no old object replaces them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import DateTime, and_, event, func, select, try_cast
from sqlalchemy import inspect as state_of

from project_architect_db.dialect.json_lists import json_items
from project_architect_db.domain.models import Conversation
from project_architect_db.errors import StaleRecordError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Mapper


@event.listens_for(Conversation, "before_update")
def _require_latest(
    _: Mapper[Conversation], connection: Connection, conversation: Conversation
) -> None:
    """
    Have no object write its messages over those that it has never seen.

    The whole list is written when an object changes it, and was read before the gate
    to writing was taken, perhaps: by another session, or before the last commit.

    Raises:
        StaleRecordError: The conversation was changed since the object was loaded.
    """
    state: Any = state_of(conversation)
    known = state.dict.get("updated_at")
    if known is None or not state.attrs.messages.history.has_changes():
        return
    here = Conversation.__table__.c
    query = select(here.updated_at).where(here.id == conversation.id)
    found = connection.execute(query).scalar()
    before = state.committed_state.get("updated_at", known)
    # A merged object brings the time along that it was loaded with.
    if found is not None and (found != before or known < found):
        raise StaleRecordError(
            model="Conversation", id=conversation.id, expected=known, found=found
        )


def rhythm(id: int) -> Any:
    """
    A query for the numbers and times of the messages of a conversation.
    """
    item, position = json_items(Conversation.messages)
    each = (
        select(item.label("message"), position.label("position"))
        .where(Conversation.id == id)
        .subquery()
    )
    message = each.c.message
    at = try_cast(message["at"].as_string(), DateTime(timezone=True))
    before = func.lag(at, type_=at.type).over(order_by=each.c.position)
    role = message["role"].as_string()
    told = select(
        role.label("role"),
        func.length(message["content"].as_string()).label("length"),
        at.label("at"),
        func.lag(role).over(order_by=each.c.position).label("role_before"),
        (at - before).label("gap"),
    ).subquery()
    answered = and_(told.c.role == "assistant", told.c.role_before == "user")
    return select(
        func.count().label("messages"),
        func.histogram(told.c.role).label("by_role"),
        func.avg(told.c.length).label("length"),
        func.min(told.c.at).label("first"),
        func.max(told.c.at).label("last"),
        func.avg(told.c.gap).label("gap"),
        func.max(told.c.gap).label("longest"),
        func.avg(told.c.gap).filter(answered).label("response"),
    ).select_from(told)
