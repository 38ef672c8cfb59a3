"""
What other schemas say of messages, builds and the like is kept, all of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from database_support import rolled_back
from pydantic import BaseModel, RootModel

from project_architect_db import (
    ConversationRepository,
    InvalidDataError,
    ProjectRepository,
    RepositoryRepository,
)
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Said(BaseModel):
    """
    A message of an app.
    """

    content: str = "Hello."
    mood: str = "calm"
    author: str | None = None
    seen: datetime = NOON


class Told(BaseModel, extra="allow"):
    """
    Whatever an app was told.
    """


class Listed(RootModel[Any]):
    """
    No fields at all.
    """


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
            await ConversationRepository(session).create(
                {"project_id": 1, "title": "t"}
            )
            await RepositoryRepository(session).create({"project_id": 1, "name": "r"})
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    async with rolled_back(engine) as session:
        yield session


@pytest.fixture
def conversations(session):
    return ConversationRepository(session)


async def test_a_message_of_a_conversation_goes_into_another_whole(conversations):
    given = {"content": "a", "role": "tool", "at": NOON, "mood": {"is": ["calm"]}}
    first = await conversations.add_message(1, given)
    again = await conversations.add_message(1, first)
    assert again.model_dump() == first.model_dump() | {"position": 1}
    copy = await conversations.create(
        {"project_id": 1, "title": "u", "messages": await conversations.messages(1)}
    )
    said = {**given, "at": "2026-03-01T12:00:00Z"}
    assert [said, said] == copy.messages


async def test_a_message_may_be_of_a_schema_of_the_app(conversations):
    made = await conversations.add_message(1, Said())
    assert ("Hello.", "calm", "2026-03-01T12:00:00Z", None) == (
        made.content, made.model_extra["mood"], made.model_extra["seen"], made.author
    )  # fmt: skip
    await conversations.edit_message(1, 0, Said(mood="curious"))
    (edited,) = await conversations.messages(1)
    assert ("Hello.", "curious") == (edited.content, edited.model_extra["mood"])
    made = await conversations.add_message(1, Told(content="x", tokens=3))
    assert {"tokens": 3} == made.model_extra


async def test_what_is_left_out_of_an_update_is_left_alone(conversations):
    await conversations.add_message(1, {"content": "a", "author": "Ada", "mood": "x"})
    edited = await conversations.edit_message(1, 0, Said(author=None))
    assert ("a", None, {"mood": "x"}) == (
        edited.content, edited.author, edited.model_extra
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [Listed([1]), Listed("x"), Told(content="a", mood=float("nan")), Told()]
)
async def test_a_schema_is_checked_as_a_dict_is(conversations, wrong):
    with pytest.raises(InvalidDataError, match="Message"):
        await conversations.add_message(1, wrong)
    assert [] == await conversations.messages(1)


async def test_builds_metadata_and_people_keep_further_fields_too(session):
    repositories = RepositoryRepository(session)
    await repositories.record_build(1, Told(status="passed", runner="big", at=NOON))
    (build,) = await repositories.builds(1)
    assert {"status": "passed", "name": "build", "runner": "big"} == build.payload
    assert NOON == build.occurred_at
    code = await repositories.set_github(1, Told(full_name="a/b", watchers=3))
    assert 3 == code.github["watchers"]
    code = await repositories.update(
        1, {"contributors": [Told(name="Ada", commits=2, team="core")]}
    )
    assert [{"name": "Ada", "email": "", "commits": 2, "team": "core"}] == (
        code.contributors
    )
