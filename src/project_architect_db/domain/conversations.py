"""
The repository of conversations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.orm import defer
from sqlalchemy.orm.util import identity_key

from project_architect_db.dialect.json_lists import (
    json_appended,
    json_changed,
    json_length,
    json_slice,
)
from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.arguments import require_number
from project_architect_db.domain.message_lists import rhythm
from project_architect_db.domain.models import Conversation
from project_architect_db.domain.schema_parts import (
    Message,
    MessageUpdate,
    StoredMessage,
)
from project_architect_db.domain.schemas import ConversationCreate, ConversationUpdate
from project_architect_db.domain.stages import Stage, read_stages
from project_architect_db.domain.vocabulary import PHASES
from project_architect_db.errors import InvalidDataError, NotFoundError
from project_architect_db.orm.refusals import each_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from project_architect_db.orm.incoming import Data
    from project_architect_db.orm.query_pages import Page


_MESSAGES: Any = Conversation.messages
_MOST = 2**31 - 1
"""Messages of a conversation that can be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFlow:
    """
    How a conversation went.

    Attributes:
        stages: The phases it was in, and when.
        messages: How many there are.
        by_role: How many of whom.
        average_length: Of a message, in characters.
        average_gap: Between a message and the next.
        longest_gap: The longest of these.
        average_response: From a message of a user to the next one of an assistant,
            where that is the next message.
    """

    conversation_id: int
    stages: list[Stage]
    messages: int
    by_role: dict[str, int]
    average_length: float | None
    first_message_at: datetime | None
    last_message_at: datetime | None
    average_gap: timedelta | None
    longest_gap: timedelta | None
    average_response: timedelta | None


class ConversationRepository(RecordingRepository[Conversation]):
    """
    Conversations, and the messages in them.

    Messages are added and edited in the database: their list, which may be long, is
    neither read nor sent.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         project = await ProjectRepository(session).create(
        ...             {"name": "a", "project_idea": "b"})
        ...         conversations = ConversationRepository(session)
        ...         made = await conversations.create(
        ...             {"project_id": project.id, "title": "First steps"})
        ...         added = await conversations.add_message(
        ...             made.id, {"role": "user", "content": "What now?"})
        ...         (message,) = made.messages
        ...         print(added.position, message["content"])
        0 What now?
    """

    create_schema = ConversationCreate
    update_schema = ConversationUpdate
    watched = {"phase": "phase_changed"}
    vocabularies = {"phase": PHASES}

    # --- finding ------------------------------------------------------------------

    async def list_by_project(
        self, project_id: int, limit: int = 100, *, cursor: str | None = None,
        **filters: Any,
    ) -> Page[Conversation]:  # fmt: skip
        """
        The conversations of a project, the latest changed first, page by page.

        Raises:
            InvalidDataError: There is no such phase, or no such page.
        """
        self._require_words(**filters)
        return await self.paginate(
            limit, cursor=cursor, order_by=("-updated_at",), project_id=project_id,
            **filters,
        )  # fmt: skip

    async def list_by_phase(
        self, phase: str, *, project_id: int | None = None, limit: int = 100
    ) -> list[Conversation]:
        """
        The conversations in a phase, the latest changed first.

        Raises:
            InvalidDataError: There is no such phase.
        """
        self._require_words(phase=phase)
        query = self.base_query().filter(phase=phase)
        if project_id is not None:
            query = query.filter(project_id=project_id)
        return await query.order_by("-updated_at", "id").limit(limit).all()

    async def change_phase(self, id: int, phase: str) -> Conversation:
        """
        Have a conversation go on to another phase.
        """
        return await self.update(id, {"phase": phase})

    async def bulk_change_phase(self, ids: Iterable[int], phase: str) -> int:
        """
        Have many conversations go on to another phase; return how many there were.
        """
        each = each_of(self._fields, ids)
        return await self.bulk_update([{"id": id_, "phase": phase} for id_ in each])

    # --- messages -----------------------------------------------------------------

    async def add_message(self, id: int, message: Data) -> StoredMessage:
        """
        Add a message at the end.

        Args:
            id: Of the conversation.
            message: What `domain.schemas.Message` describes, or only a part of it.

        Raises:
            NotFoundError: There is no such conversation.
            InvalidDataError: It is no message, or the conversation has no list of them.
        """
        (added,) = await self.add_messages(id, [message])
        return added

    async def add_messages(
        self, id: int, messages: Sequence[Data]
    ) -> list[StoredMessage]:
        """
        Add messages at the end, in their order.
        """
        id = self._key(id)
        new = [
            Message.model_validate(message).model_dump(mode="json")
            for message in each_of(self._fields, messages)
        ]
        if not new:
            return []
        length, project_id = await self._write(id, json_appended(_MESSAGES, new))
        first = length - len(new)
        if first < 0:  # SQL has put something else there, which has no end
            raise InvalidDataError(
                "there is no list that messages could be added to",
                model="Conversation", field="messages", value=None,
            )  # fmt: skip
        added = [_numbered(kept, first + number) for number, kept in enumerate(new)]
        for message in added:
            self._tell_of("message_added", id, project_id, message)
        return added

    async def edit_message(
        self, id: int, position: int, changes: Mapping[str, Any]
    ) -> StoredMessage:
        """
        Change a message; what is absent stays as it is, what is `None` goes.

        Args:
            id: Of the conversation.
            position: Of the message, from 0.
            changes: Fields of a message, each replaced as a whole: what a dict had
                inside is not merged with what it is to have.

        Raises:
            NotFoundError: There is no such conversation.
            InvalidDataError: There is no such message, or a change does not fit.
        """
        id = self._key(id)
        require_number(position, model="Conversation", field="position")
        given = MessageUpdate.model_validate(changes)
        patch = given.model_dump(mode="json", exclude_unset=True)
        _, project_id = await self._write(
            id, json_changed(_MESSAGES, position, patch), position=position
        )
        (edited,) = await self.messages(id, position, 1)
        self._tell_of("message_edited", id, project_id, edited)
        return edited

    async def messages(
        self, id: int, offset: int = 0, limit: int = 100
    ) -> list[StoredMessage]:
        """
        Some messages of a conversation, oldest first, without reading the others.

        Raises:
            NotFoundError: There is no such conversation.
            InvalidDataError: `offset` or `limit` is negative.
        """
        id = self._key(id)
        for name, value in {"offset": offset, "limit": limit}.items():
            require_number(value, model="Conversation", field=name)
        first, past = min(offset, _MOST), min(offset + limit, _MOST)
        part = json_slice(_MESSAGES, first, past)
        found = await self.session.scalar(select(part).where(Conversation.id == id))
        if found is None:
            raise NotFoundError(model="Conversation", id=id)
        return [_numbered(kept, offset + number) for number, kept in enumerate(found)]

    async def _write(
        self, id: int, messages: Any, *, position: int | None = None
    ) -> tuple[int, int]:
        """
        Set the messages in the database, if there is one at that position.

        Returns:
            How many messages there are now, and the project.
        """
        await self.session.flush()  # else what an object has changed would be lost
        statement = update(Conversation).where(Conversation.id == id)
        if position is not None:
            statement = statement.where(json_length(_MESSAGES) > position)
        result: Any = await self.session.execute(
            statement.values(messages=messages),
            execution_options={"synchronize_session": False},
        )
        if not result.rowcount:
            if position is None or not await self.exists(id=id):
                raise NotFoundError(model="Conversation", id=id)
            raise self._no_message(position, "there are not so many messages")
        loaded = self.session.sync_session.identity_map.get(
            identity_key(Conversation, id)
        )
        if loaded is not None:
            await self.session.refresh(loaded, ["messages", "updated_at"])
        found = select(json_length(_MESSAGES), Conversation.project_id)
        rows = await self.session.execute(found.where(Conversation.id == id))
        length, project_id = rows.one()
        return length, project_id

    def _no_message(self, position: int, problem: str) -> InvalidDataError:
        return InvalidDataError(
            problem, model="Conversation", field="position", value=position
        )

    def _tell_of(
        self, action: str, id: int, project_id: int, message: StoredMessage
    ) -> None:
        payload = {
            "position": message.position, "role": message.role,
            "length": len(message.content),
        }  # fmt: skip
        self._tell(action, payload, entity_id=id, project_id=project_id)

    # --- how it went --------------------------------------------------------------

    async def flow(self, id: int) -> ConversationFlow:
        """
        How a conversation went: its phases, and the rhythm of its messages.

        Raises:
            NotFoundError: There is no such conversation.
        """
        id = self._key(id)
        query = self.base_query().options(defer(_MESSAGES)).filter(id=id)
        conversation = await query.one_or_none()
        if conversation is None:
            raise NotFoundError(model="Conversation", id=id)
        row = (await self.session.execute(rhythm(id))).one()
        return ConversationFlow(
            conversation_id=id,
            stages=await read_stages(
                self.session, conversation, "phase_changed", conversation.phase
            ),
            messages=row.messages,
            by_role=row.by_role or {},
            average_length=row.length,
            first_message_at=row.first,
            last_message_at=row.last,
            average_gap=row.gap,
            longest_gap=row.longest,
            average_response=row.response,
        )


def _numbered(kept: dict[str, Any], position: int) -> StoredMessage:
    return StoredMessage.model_validate({**kept, "position": position})
