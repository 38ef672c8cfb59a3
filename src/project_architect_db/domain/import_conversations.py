"""
Commit messages into conversations: one for each stretch between two releases.

Which conversation is whose is told by the `hash` of its messages, so that a title may
be changed, and messages of others may be added in between: they are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, literal, select, update

from project_architect_db.dialect.json_lists import json_appended, json_length
from project_architect_db.domain.import_plan import is_title
from project_architect_db.domain.import_report import UNSEEN, ImportReport
from project_architect_db.domain.models import Conversation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from project_architect_db.domain.git_history import Commit
    from project_architect_db.domain.import_plan import Stretch
    from project_architect_db.engine import ArchitectSession

MESSAGES = 1_000
"""The most in one conversation; what is more goes on in the next, called ``… (2)``.

An append writes the whole list anew, and loading a project loads its conversations."""

Message = dict[str, Any]


def message_of(commit: Commit) -> Message:
    """
    A commit as a message; see `domain.schemas.Message`.
    """
    message = {
        "role": "user", "content": commit.message,
        "at": commit.at.strftime("%Y-%m-%dT%H:%M:%SZ"), "hash": commit.hash,
    }  # fmt: skip
    author = commit.author.strip()[:255]
    return {**message, "author": author} if author else message


class ReleaseConversations:
    """
    The conversations that an import fills.

    Args:
        report: Of the import; told which conversations were touched.
        stretches: The history, divided by its releases.
        place: In which of the stretches a commit is, by its hash.
    """

    def __init__(
        self, report: ImportReport, stretches: Sequence[Stretch],
        place: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._report = report
        self._stretches = stretches
        self._place = place
        self._parts: dict[int, list[int]] = defaultdict(list)  # ids, by stretch
        self._length: dict[int, int] = {}  # of a conversation, by id
        self._touched: set[int] = set()

    async def arrange(self, session: ArchitectSession, gone: Collection[str]) -> None:
        """
        Find the conversations, and put right what a new or a missing tag has changed.

        A conversation stays that of the stretch of its first message. Those of other
        stretches move out, those of commits that are gone are removed.
        """
        hashes = func.json_extract_string(Conversation.messages, "$[*].hash")
        rows = await session.execute(
            select(
                Conversation.id, Conversation.title, hashes,
                json_length(Conversation.messages),
            )
            .where(Conversation.project_id == self._report.project_id)
            .order_by(Conversation.id)
        )  # fmt: skip
        moved: dict[int, list[Message]] = defaultdict(list)
        for id_, title, found, length in rows.all():
            kept = [hash_ for hash_ in found if hash_ not in gone]
            places = [self._place[hash_] for hash_ in kept if hash_ in self._place]
            self._length[id_] = length
            home = places[0] if places else None
            if len(kept) < len(found) or len({*places}) > 1:
                await self._move_out(session, id_, home, gone, moved)
            if home is not None:  # else it is somebody else's
                self._parts[home].append(id_)
                await self._rename(session, id_, title, home)
        for number, messages in moved.items():
            await self.add(session, number, messages)

    async def _move_out(
        self, session: ArchitectSession, id: int, home: int | None,
        gone: Collection[str], moved: dict[int, list[Message]],
    ) -> None:  # fmt: skip
        """
        Take messages out of a conversation that are not its own any more.
        """
        of_it = Conversation.id == id
        messages = await session.scalar(select(Conversation.messages).where(of_it))
        kept = []
        for message in messages or ():
            place = self._place.get(message.get("hash", ""), home)
            if message.get("hash") in gone:
                continue
            if place is None or place == home:
                kept.append(message)
            else:
                moved[place].append(message)
        self._length[id] = len(kept)
        if kept:
            changed = update(Conversation).where(of_it).values(messages=kept)
            await session.execute(changed.values(_span(kept)), execution_options=UNSEEN)
        else:
            await session.execute(
                delete(Conversation).where(of_it), execution_options=UNSEEN
            )
            event = {"entity": "conversation", "entity_id": id, "action": "deleted"}
            await self._report.record(session, [event])

    async def _rename(
        self, session: ArchitectSession, id: int, title: str, home: int
    ) -> None:
        wanted = self._title(home, len(self._parts[home]))
        if title != wanted and is_title(title):
            await session.execute(
                update(Conversation)
                .where(Conversation.id == id)
                .values(title=wanted, updated_at=Conversation.updated_at)
            )

    def _title(self, number: int, part: int) -> str:
        mark = f" ({part})" if part > 1 else ""
        return self._stretches[number].title[: 255 - len(mark)] + mark

    async def add(
        self, session: ArchitectSession, number: int, messages: Sequence[Message]
    ) -> None:
        """
        Add the messages of commits to the conversation of their stretch.
        """
        parts = self._parts[number]
        while messages:
            room = MESSAGES - self._length[parts[-1]] if parts else 0
            if room > 0:
                await self._append(session, parts[-1], messages[:room])
                messages = messages[room:]
            else:
                await self._start(session, number, messages[:MESSAGES])
                messages = messages[MESSAGES:]
        self._report.conversations = len(self._touched)

    async def _append(
        self, session: ArchitectSession, id: int, messages: Sequence[Message]
    ) -> None:
        began, ended = Conversation.created_at, Conversation.updated_at
        span = _span(messages)
        await session.execute(
            update(Conversation)
            .where(Conversation.id == id)
            .values(
                messages=json_appended(Conversation.messages, messages),
                created_at=func.least(began, literal(span["created_at"], began.type)),
                updated_at=func.greatest(
                    ended, literal(span["updated_at"], ended.type)
                ),
            ),
            execution_options=UNSEEN,
        )
        self._length[id] += len(messages)
        self._touched.add(id)

    async def _start(
        self, session: ArchitectSession, number: int, messages: Sequence[Message]
    ) -> None:
        conversation = Conversation(
            project_id=self._report.project_id,
            title=self._title(number, len(self._parts[number]) + 1),
            phase=self._stretches[number].phase,
            messages=[*messages],
            **_span(messages),
        )
        session.add(conversation)
        await session.flush()
        self._parts[number].append(conversation.id)
        self._length[conversation.id] = len(messages)
        self._touched.add(conversation.id)
        event = {
            "entity": "conversation", "entity_id": conversation.id, "action": "created",
            "payload": {"phase": conversation.phase},
            "occurred_at": conversation.created_at,
        }  # fmt: skip
        await self._report.record(session, [event])


def _span(messages: Sequence[Message]) -> dict[str, Any]:
    """
    When a conversation of these began and ended; as it was, without any of a commit.
    """
    times = [datetime.fromisoformat(each["at"]) for each in messages if "hash" in each]
    if not times:
        return {"updated_at": Conversation.updated_at}
    return {"created_at": min(times), "updated_at": max(times)}
