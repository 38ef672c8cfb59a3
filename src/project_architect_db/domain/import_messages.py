"""
Which messages of conversations are the importer's, and which repository they tell of.

Each says so itself: `imported_from` is the id of that repository. A `hash` says
nothing, as anybody may write one. Earlier versions left no such mark; a message of
theirs is one that says exactly what activity says of its commit, and gets the mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, and_, func, select, update

from project_architect_db.domain.import_report import UNSEEN, ImportReport
from project_architect_db.domain.models import Activity, Conversation, Repository
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.domain.git_history import Commit

MARK = "imported_from"
"""The field of a message that says of which repository the importer has it."""

HASH = Activity.payload["hash"].as_string()

_FIELDS = {"role", "content", "author", "at", "hash"}
"""What a message of earlier versions has."""

_SHAPE = f'[{{"hash": "VARCHAR", "{MARK}": "JSON"}}]'

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Talk:
    """
    A conversation as the importer sees it.

    Attributes:
        messages: Of each message the `hash`, and the repository it was imported from;
            `None` if it was not, or that repository is gone.
    """

    id: int
    title: str
    messages: list[tuple[str | None, int | None]]


@dataclass(frozen=True, slots=True)
class _Fact:
    """
    What activity says of a commit.
    """

    repository_id: int | None
    subject: str | None
    actor: str | None
    at: str


def message_of(commit: Commit, repository_id: int) -> Message:
    """
    A commit as a message; see `domain.schemas.Message`.
    """
    message = {
        "role": "user", "content": commit.message, "at": _written(commit.at),
        "hash": commit.hash, MARK: repository_id,
    }  # fmt: skip
    author = commit.author.strip()[:255]
    return {**message, "author": author} if author else message


def owner_of(message: Message) -> int | None:
    """
    The repository that the importer has this message from, if it is the importer's.
    """
    mark = message.get(MARK)
    return mark if type(mark) is int and isinstance(message.get("hash"), str) else None


def said_at(message: Message) -> datetime | None:
    """
    When it was said, if that can be told.
    """
    try:
        moment = datetime.fromisoformat(message["at"])
    except (KeyError, TypeError, ValueError):  # somebody has edited it
        return None
    return moment if moment.tzinfo else None


async def read_owners(session: AsyncSession, project_id: int) -> list[int]:
    """
    The repositories of a project.
    """
    found = select(Repository.id).where(Repository.project_id == project_id)
    return [*await session.scalars(found.order_by(Repository.id))]


async def read_talks(
    session: AsyncSession, project_id: int, owners: Iterable[int]
) -> list[Talk]:
    """
    The conversations of a project, the oldest first.
    """
    known = {str(owner): owner for owner in owners}
    columns = func.json_transform(Conversation.messages, _SHAPE)
    rows = await session.stream(
        select(Conversation.id, Conversation.title, columns)
        .where(Conversation.project_id == project_id)
        .order_by(Conversation.id)
    )
    return [
        Talk(id_, title, [(m["hash"], known.get(m[MARK])) for m in messages])
        async for id_, title, messages in rows
    ]


async def commits_of_others(
    session: AsyncSession, report: ImportReport, hashes: Collection[str], *,
    since: int = 0,
) -> dict[str, int]:  # fmt: skip
    """
    Those commits that other repositories of the project have, too, and the first such.

    Args:
        session: Where.
        report: Of the import.
        hashes: Of the commits.
        since: The id of an event; those before it are not looked at.
    """
    if not hashes:
        return {}
    rows = await session.execute(
        select(HASH, func.min(Activity.entity_id, type_=Integer()))
        .join(Repository, Repository.id == Activity.entity_id)
        .where(
            _commits(report.project_id), Activity.id > since,
            Activity.entity_id != report.repository_id,
            any_of([HASH], [(hash_,) for hash_ in hashes]),
        )
        .group_by(HASH)
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


async def adopt_messages(
    session: AsyncSession, report: ImportReport, talks: Sequence[Talk],
    history: Collection[str],
) -> bool:  # fmt: skip
    """
    Mark the importer's messages that have no owner; return whether there were any.

    Such are those of earlier versions, and those of repositories that are gone.

    Args:
        session: Where.
        report: Of the import.
        talks: All conversations of the project.
        history: The commits that the repository has.
    """
    unowned = {
        hash_
        for talk in talks
        for hash_, owner in talk.messages
        if hash_ is not None and owner is None
    }
    facts = await _facts(session, report.project_id, unowned)
    owners = await read_owners(session, report.project_id)
    done = False
    for talk in talks:
        if any(owner is None and hash_ in facts for hash_, owner in talk.messages):
            of_it = Conversation.id == talk.id
            found = await session.scalar(select(Conversation.messages).where(of_it))
            messages = [*(found or ())]
            marked = [
                _marked(message, facts, owners, report.repository_id, history)
                for message in messages
            ]
            if marked != messages:
                done = True
                values = {"messages": marked, "updated_at": Conversation.updated_at}
                await session.execute(
                    update(Conversation).where(of_it).values(values),
                    execution_options=UNSEEN,
                )
    return done


def _marked(
    message: Message, facts: dict[str, list[_Fact]], owners: Collection[int],
    repository_id: int, history: Collection[str],
) -> Message:  # fmt: skip
    hash_, owner = message.get("hash"), owner_of(message)
    if not isinstance(hash_, str) or owner in owners:
        return message
    known = facts.get(hash_, [])
    if owner is None and not any(_tells(message, fact) for fact in known):
        return message
    having = [fact.repository_id for fact in known if fact.repository_id in owners]
    if not having and hash_ in history:
        having = [repository_id]
    return {**message, MARK: having[0]} if having else message


def _tells(message: Message, fact: _Fact) -> bool:
    """
    Whether a message is what an earlier version made of this commit.
    """
    subject = str(message.get("content", "")).partition("\n")[0].rstrip()[:255]
    return (
        message.keys() <= _FIELDS
        and message.get("role") == "user"
        and message.get("at") == fact.at
        and message.get("author", fact.actor) == fact.actor
        and subject == fact.subject
    )


async def _facts(
    session: AsyncSession, project_id: int, hashes: Collection[str]
) -> dict[str, list[_Fact]]:
    """
    What activity says of these commits, the oldest repository first.
    """
    subject = Activity.payload["subject"].as_string()
    columns = (HASH, Activity.entity_id, subject, Activity.actor, Activity.occurred_at)
    facts: dict[str, list[_Fact]] = {}
    if hashes:
        wanted = any_of([HASH], [(hash_,) for hash_ in hashes])
        found = select(*columns).where(_commits(project_id), wanted)
        for hash_, owner, text, actor, at in await session.execute(
            found.order_by(Activity.entity_id)
        ):
            facts.setdefault(hash_, []).append(_Fact(owner, text, actor, _written(at)))
    return facts


def _commits(project_id: int) -> Any:
    return and_(
        Activity.project_id == project_id,
        Activity.entity == "repository",
        Activity.action == "commit",
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
