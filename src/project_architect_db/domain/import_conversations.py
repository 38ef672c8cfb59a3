"""
Commit messages into conversations: one for each stretch between two releases.

Which messages are the importer's, and of which repository, they say themselves (see
`import_messages`), so that a title may be changed, and messages of others may be added
in between: they are left alone. A conversation is that of the repository, and of the
stretch of its history, that its first imported message tells of.

Of several repositories of a project with the same commits, such as clones, the first
that was imported tells them. When it forgets one, the message is handed to the other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, literal, select, update

from project_architect_db.dialect.json_lists import json_appended
from project_architect_db.domain.import_messages import (
    MARK,
    Message,
    Talk,
    adopt_messages,
    commits_of_others,
    owner_of,
    read_owners,
    read_talks,
    said_at,
)
from project_architect_db.domain.import_plan import is_title
from project_architect_db.domain.import_report import UNSEEN, ImportReport
from project_architect_db.domain.models import Activity, Conversation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from project_architect_db.domain.import_plan import Stretch
    from project_architect_db.engine import ArchitectSession

MESSAGES = 1_000
"""The most in one conversation; what is more goes on in the next, called ``… (2)``.

An append writes the whole list anew, and loading a project loads its conversations."""


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
        self._told: set[str] = set()  # commits with a message, whoever told them
        self._heirs: dict[str, int] = {}  # other repositories, by commit that is gone
        self._alone = True
        self._seen = 0  # the last event that told of commits of others

    async def arrange(self, session: ArchitectSession, gone: Collection[str]) -> None:
        """
        Find the conversations, and put right what a new or a missing tag has changed.

        A conversation stays that of the stretch of its first message. Those of other
        stretches move out, those of commits that are gone are removed. Activity has to
        know these commits still.
        """
        report = self._report
        owners = await read_owners(session, report.project_id)
        self._alone = owners == [report.repository_id]
        talks = await read_talks(session, report.project_id, owners)
        if await adopt_messages(session, report, talks, self._place):
            talks = await read_talks(session, report.project_id, owners)
        self._heirs = {}
        if not self._alone:
            self._heirs = await commits_of_others(session, report, gone)
            others = await commits_of_others(session, report, self._place)
            self._told.update(others)
            self._seen = await session.scalar(select(func.max(Activity.id))) or 0
        moved: dict[int, list[Message]] = defaultdict(list)
        for talk in talks:
            await self._arrange(session, talk, gone, moved)
        for number, messages in moved.items():
            await self.add(session, number, messages)

    async def _arrange(
        self, session: ArchitectSession, talk: Talk, gone: Collection[str],
        moved: dict[int, list[Message]],
    ) -> None:  # fmt: skip
        us = self._report.repository_id
        ours = [hash_ for hash_, owner in talk.messages if owner == us]
        staying = [
            (hash_, self._heirs.get(hash_) if owner == us and hash_ in gone else owner)
            for hash_, owner in talk.messages
            if hash_ is not None and owner is not None
        ]
        staying = [(hash_, owner) for hash_, owner in staying if owner is not None]
        self._told.update(hash_ for hash_, _ in staying)
        self._length[talk.id] = len(talk.messages)
        places = [
            self._place[hash_]
            for hash_, owner in staying
            if owner == us and hash_ in self._place
        ]
        home = places[0] if places and staying[0][1] == us else None
        if any(hash_ in gone for hash_ in ours) or (
            home is not None and len({*places}) > 1
        ):
            await self._move_out(session, talk.id, home, gone, moved)
        if home is not None:  # else it is somebody else's
            self._parts[home].append(talk.id)
            await self._rename(session, talk.id, talk.title, home)

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
            ours = owner_of(message) == self._report.repository_id
            place = self._place.get(message["hash"], home) if ours else home
            if ours and message["hash"] in gone:
                if (heir := self._heirs.get(message["hash"])) is not None:
                    kept.append({**message, MARK: heir})
            elif home is None or place is None or place == home:
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

    async def told(
        self, session: ArchitectSession, hashes: Collection[str]
    ) -> Collection[str]:
        """
        Which commits need no message, as an import into this project has told them.
        """
        if not self._alone:  # they may be imported at the same time
            others = await commits_of_others(
                session, self._report, hashes, since=self._seen
            )
            self._told.update(others)
        return self._told

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
    found = [said_at(each) for each in messages if owner_of(each) is not None]
    times = [moment for moment in found if moment is not None]
    if not times:
        return {"updated_at": Conversation.updated_at}
    return {"created_at": min(times), "updated_at": max(times)}
