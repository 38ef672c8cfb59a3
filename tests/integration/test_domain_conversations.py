"""
Conversations: messages that are changed where they are, phases, and how it went.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from database_support import made_anew, rolled_back
from sqlalchemy import select, text, update

from project_architect_db import (
    ActivityRepository,
    Conversation,
    ConversationRepository,
    InvalidDataError,
    Message,
    MissingParentError,
    NotFoundError,
    Project,
    ProjectRepository,
    StaleRecordError,
    UnknownFieldError,
)
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def begin(engine):
    async with engine.transaction() as session:
        for name in "ab":
            await ProjectRepository(session).create({"name": name, "project_idea": "x"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with temporary_database() as engine:
        await begin(engine)
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, for those that commit.
    """
    await begin(await made_anew(database))
    yield database
    await begin(await made_anew(database))


@pytest_asyncio.fixture(loop_scope="module")
async def session(database):
    async with rolled_back(database) as session:
        yield session


@pytest.fixture
def conversations(session):
    return ConversationRepository(session, actor="ada")


@pytest_asyncio.fixture(loop_scope="module")
async def talk(conversations):
    return await conversations.create({"project_id": 1, "title": "Talk"})


async def kept(session, id):
    """
    The messages as they are in the database.
    """
    await session.flush()
    session.expunge_all()
    return await session.scalar(select(Conversation.messages).filter_by(id=id))


# --- adding -----------------------------------------------------------------------


async def test_a_message_is_added_at_the_end(conversations, talk, session):
    first = await conversations.add_message(talk.id, {"content": "What now?"})
    second = await conversations.add_message(
        talk.id, Message(role="assistant", content="This.", at=START, tokens=7)
    )
    assert (0, "user", "What now?") == (first.position, first.role, first.content)
    assert (1, START, 7) == (second.position, second.at, second.tokens)
    assert abs(first.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert [
        {"role": "user", "content": "What now?", "at": talk.messages[0]["at"]},
        {
            "role": "assistant", "content": "This.", "at": "2026-03-01T12:00:00Z",
            "tokens": 7,
        },
    ] == await kept(session, talk.id)  # fmt: skip


@pytest.mark.parametrize(
    "content", ["", "'", '"', "\\", "]", "é😀\n\t", "\x00", "$[#]"]
)
async def test_any_text_comes_back_as_it_was(conversations, talk, session, content):
    await conversations.add_message(talk.id, {"content": content, "k": content})
    await conversations.add_messages(talk.id, [{"content": content}] * 2)
    await conversations.edit_message(talk.id, 0, {"k": f"{content}!"})
    found = await kept(session, talk.id)
    assert [content] * 3 == [message["content"] for message in found]
    assert f"{content}!" == found[0]["k"]
    read = await conversations.messages(talk.id)
    assert [content] * 3 == [message.content for message in read]


async def test_the_first_messages_have_a_time_too(conversations, session):
    talk = await conversations.create(
        {"project_id": 1, "title": "t", "messages": [{"content": "a"}]}
    )
    (found,) = await kept(session, talk.id)
    assert {"role", "content", "at"} == {*found}
    assert (await conversations.flow(talk.id)).first_message_at is not None


async def test_several_messages_are_added_in_their_order(conversations, talk, session):
    added = await conversations.add_messages(talk.id, [{"content": c} for c in "abc"])
    assert [0, 1, 2] == [message.position for message in added]
    added = await conversations.add_messages(talk.id, [{"content": c} for c in "de"])
    assert [3, 4] == [message.position for message in added]
    assert [*"abcde"] == [m["content"] for m in await kept(session, talk.id)]
    assert [] == await conversations.add_messages(talk.id, [])


async def test_a_loaded_conversation_has_the_message_too(conversations, talk):
    before = talk.updated_at
    await conversations.add_message(talk.id, {"content": "a"})
    assert ["a"] == [message["content"] for message in talk.messages]
    assert talk.updated_at > before
    talk.messages[0]["content"] = "b"  # not flushed yet
    await conversations.add_message(talk.id, {"content": "c"})
    assert ["b", "c"] == [message["content"] for message in talk.messages]


async def test_the_list_is_not_sent():
    """
    Only the new message is among the parameters.
    """
    long = [{"role": "user", "content": "x" * 1000}] * 100
    sent = []
    async with temporary_database(log_values=True) as engine:
        async with engine.transaction() as session:
            session.add(Project(name="a", project_idea="b"))
            await session.flush()
            session.add(Conversation(project_id=1, title="Talk", messages=long))
        engine.on_query(lambda query: sent.append(repr(query.values)))
        async with engine.transaction() as session:
            conversations = ConversationRepository(session)
            await conversations.add_message(1, {"content": "short"})
            await conversations.edit_message(1, 50, {"content": "edited"})
    assert any("short" in values for values in sent)
    assert max(map(len, sent)) < 500


async def test_a_message_is_told(conversations, talk, session):
    await conversations.add_message(talk.id, {"content": "hello"})
    await conversations.edit_message(talk.id, 0, {"content": "hi", "role": "system"})
    found = await ActivityRepository(session).of(talk)
    assert [
        ("message_edited", "ada", 1, {"position": 0, "role": "system", "length": 2}),
        ("message_added", "ada", 1, {"position": 0, "role": "user", "length": 5}),
        ("created", "ada", 1, {"phase": "discovery"}),
    ] == [(e.action, e.actor, e.project_id, e.payload) for e in found]


async def test_fifty_at_once_are_all_kept(engine):
    async with engine.transaction() as session:
        talk = await ConversationRepository(session).create(
            {"project_id": 1, "title": "Talk"}
        )

    async def say(number):
        async with engine.transaction() as session:
            return await ConversationRepository(session).add_message(
                talk.id, {"content": f"{number}"}
            )

    said = await asyncio.gather(*map(say, range(50)))
    async with engine.session() as session:
        found = await ConversationRepository(session).messages(talk.id)
    assert [*range(50)] == sorted(int(message.content) for message in found)
    assert {m.position: m.content for m in said} == {
        m.position: m.content for m in found
    }


async def test_what_is_no_list_takes_no_message(conversations, talk, session):
    for other in ("null", "{}", '"text"'):
        await session.execute(text(f"UPDATE conversations SET messages = '{other}'"))
        with pytest.raises(InvalidDataError, match="no list"):
            await conversations.add_message(talk.id, {"content": "a"})


async def test_no_messages_are_an_empty_list(conversations, session):
    talk = Conversation(project_id=1, title="t", messages=None)
    session.add(talk)
    await session.flush()
    assert [] == await kept(session, talk.id)
    assert 0 == (await conversations.add_message(talk.id, {"content": "a"})).position


# --- editing and reading ----------------------------------------------------------


async def test_a_message_is_edited_where_it_is(conversations, talk, session):
    await conversations.add_messages(talk.id, [{"content": c, "k": 1} for c in "abc"])
    edited = await conversations.edit_message(
        talk.id, 1, {"content": "B", "k": None, "at": START}
    )
    assert (1, "B", "user", START) == (
        edited.position, edited.content, edited.role, edited.at,
    )  # fmt: skip
    found = await kept(session, talk.id)
    assert ["a", "B", "c"] == [message["content"] for message in found]
    assert "k" not in found[1]
    assert 1 == found[2]["k"]


async def test_an_edit_replaces_what_is_in_a_field_as_a_whole(
    conversations, talk, session
):
    await conversations.add_message(
        talk.id, {"content": "a", "k": {"x": 1, "y": {"z": 2}}, "gone": {"x": 1}}
    )
    changes = {"k": {"y": {"n": None}, "l": [{"m": None}]}, "gone": None, "more": {}}
    edited = await conversations.edit_message(talk.id, 0, changes)
    assert changes["k"] == edited.k
    (found,) = await kept(session, talk.id)
    assert {"role", "content", "at", "k", "more"} == {*found}
    assert (changes["k"], {}) == (found["k"], found["more"])
    await conversations.edit_message(talk.id, 0, {})
    assert [found] == await kept(session, talk.id)


@pytest.mark.parametrize("item", ["1", "[1]", "null", '"text"', "{}"])
async def test_an_edit_makes_a_message_of_what_is_none(
    conversations, talk, session, item
):
    statement = text("UPDATE conversations SET messages = CAST(:new AS JSON)")
    await session.execute(statement, {"new": f'["a", {item}]'})
    await conversations.edit_message(
        talk.id, 1, {"content": "b", 'q"\\}': "}", "k": None}
    )
    assert ["a", {"content": "b", 'q"\\}': "}"}] == await kept(session, talk.id)


HOSTILE = [
    {1, 2}, START.replace(tzinfo=None), "\ud800", b"x", {"a": {1}}, [b"x"],
    {"\ud800": 1}, {1: 2}, float("nan"), [float("inf")], object(),
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
async def test_what_is_no_json_is_refused_in_a_message(conversations, talk, value):
    await conversations.add_message(talk.id, {"content": "a"})
    for model, attempt in (
        ("Message", conversations.add_message(talk.id, {"content": "a", "k": value})),
        ("MessageUpdate", conversations.edit_message(talk.id, 0, {"k": value})),
        (
            "ConversationUpdate",
            conversations.update(talk.id, {"messages": [{"content": "a", "k": value}]}),
        ),
    ):
        with pytest.raises(InvalidDataError) as caught:
            await attempt
        assert model == caught.value.model
        assert "k" in caught.value.field.split(".")
    assert 1 == len(talk.messages)


async def test_nesting_without_an_end_is_refused(conversations, talk):
    endless, deep = [], []
    endless.append(endless)
    for _ in range(150):
        deep = [deep]
    for value in (endless, deep):
        with pytest.raises(InvalidDataError, match=r"cyclic|nested at most 100"):
            await conversations.add_message(talk.id, {"content": "a", "k": value})


async def test_a_position_is_not_for_a_message_to_say(conversations, talk, session):
    added = await conversations.add_message(talk.id, {"content": "a"})
    for attempt in (
        conversations.add_message(talk.id, {"content": "a", "position": 5}),
        conversations.edit_message(talk.id, 0, {"position": 5}),
        conversations.update(talk.id, {"messages": [added.model_dump()]}),
    ):
        with pytest.raises(InvalidDataError, match="leave it out") as caught:
            await attempt
        assert "position" == caught.value.field.split(".")[-1]


async def test_a_field_that_is_none_is_left_out(conversations, talk, session):
    await conversations.add_message(
        talk.id, {"content": "a", "k": None, "author": None, "m": {"n": None}}
    )
    (found,) = await kept(session, talk.id)
    assert {
        "role": "user",
        "content": "a",
        "at": found["at"],
        "m": {"n": None},
    } == found


async def test_an_id_as_text_is_the_same_conversation(conversations, talk, session):
    id = str(talk.id)
    await conversations.add_message(id, {"content": "a"})
    await conversations.edit_message(id, 0, {"content": "b"})
    assert ["b"] == [message["content"] for message in talk.messages]
    assert ["b"] == [message.content for message in await conversations.messages(id)]
    assert (talk.id, 1) == (
        (await conversations.flow(id)).conversation_id,
        (await conversations.flow(id)).messages,
    )
    found = await ActivityRepository(session).of(talk)
    assert ["message_edited", "message_added", "created"] == [e.action for e in found]


# --- objects that were loaded before ----------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def old(engine):
    """
    A conversation as it was before another message came.
    """
    async with engine.transaction() as session:
        made = await ConversationRepository(session).create(
            {"project_id": 1, "title": "t", "messages": [{"content": "a"}]}
        )
    async with engine.transaction() as session:
        await ConversationRepository(session).add_message(made.id, {"content": "b"})
    return made


async def test_an_old_object_does_not_write_its_messages_over_new_ones(engine, old):
    old.messages.append({"content": "c"})
    with pytest.raises(StaleRecordError) as caught:
        async with engine.transaction() as session:
            session.add(old)
            await session.flush()
    assert ("Conversation", 1) == (caught.value.model, caught.value.id)
    async with engine.session() as session:
        found = await ConversationRepository(session).messages(1)
    assert ["a", "b"] == [message.content for message in found]


async def test_an_old_object_is_not_merged_over_new_messages(engine, old):
    with pytest.raises(StaleRecordError):
        async with engine.transaction() as session:
            await session.merge(old)


async def test_an_old_object_may_change_what_is_no_message(engine, old):
    old.title = "u"
    async with engine.transaction() as session:
        session.add(old)
    async with engine.session() as session:
        found = await ConversationRepository(session).get_one(1)
    assert ("u", 2) == (found.title, len(found.messages))


async def test_an_object_of_the_last_transaction_is_compared_too(engine):
    async with engine.session() as session:
        mine = await ConversationRepository(session).create(
            {"project_id": 1, "title": "t"}
        )
        await session.commit()
        async with engine.transaction() as other:
            await ConversationRepository(other).add_message(1, {"content": "a"})
        mine.messages.append({"content": "b"})
        with pytest.raises(StaleRecordError):
            await session.flush()
        await session.rollback()
        await session.refresh(mine)
        mine.messages.append({"content": "b"})
        await session.commit()
    async with engine.session() as session:
        found = await ConversationRepository(session).messages(1)
    assert ["a", "b"] == [message.content for message in found]


async def test_a_fresh_object_writes_its_messages(conversations, talk, session):
    await conversations.add_message(talk.id, {"content": "a"})
    talk.messages.append({"content": "b"})
    await session.flush()
    await conversations.bulk_change_phase([talk.id], "design")
    await session.execute(update(Conversation).values(title="u"))
    talk.messages.append({"content": "c"})
    await session.flush()
    await conversations.update(
        talk.id, {"messages": [*talk.messages, {"content": "d"}]}
    )
    assert [*"abcd"] == [m["content"] for m in await kept(session, talk.id)]


async def test_what_is_not_flushed_yet_is_not_lost(conversations, talk, session):
    with session.no_autoflush:
        talk.messages.append({"content": "a"})
        await conversations.add_message(talk.id, {"content": "b"})
    assert [*"ab"] == [m["content"] for m in await kept(session, talk.id)]


async def test_of_a_conversation_that_is_gone_there_is_nothing_to_compare(engine, old):
    async with engine.transaction() as session:
        await ConversationRepository(session).delete(1)
    old.messages.append({"content": "c"})
    with pytest.raises(StaleRecordError):
        async with engine.transaction() as session:
            session.add(old)


@pytest.mark.parametrize("position", [-1, 1, 2**31, 2**62])
async def test_there_is_no_such_message(conversations, talk, session, position):
    await conversations.add_message(talk.id, {"content": "a"})
    before = talk.updated_at
    with pytest.raises(InvalidDataError, match="position") as caught:
        await conversations.edit_message(talk.id, position, {"content": "b"})
    assert position == caught.value.value
    await session.refresh(talk)
    assert before == talk.updated_at
    assert ["a"] == [message["content"] for message in talk.messages]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "content"),
        ({"content": 5}, "content"),
        ({"content": "a", "role": "usr"}, "role"),
        ({"content": "a", "at": "yesterday"}, "at"),
        ({"content": "a", "at": "2026-01-01T00:00:00"}, "at"),
    ],
)
async def test_what_is_no_message_is_refused(conversations, talk, message, field):
    with pytest.raises(InvalidDataError) as caught:
        await conversations.add_message(talk.id, message)
    assert field == caught.value.field
    if message:
        await conversations.add_message(talk.id, {"content": "a"})
        with pytest.raises(InvalidDataError) as caught:
            await conversations.edit_message(talk.id, 0, message)
        assert field == caught.value.field
        assert 1 == len(talk.messages)


async def test_no_conversation_has_no_messages(conversations):
    for attempt in (
        conversations.add_message(9, {"content": "a"}),
        conversations.edit_message(9, 0, {"content": "a"}),
        conversations.messages(9),
        conversations.flow(9),
    ):
        with pytest.raises(NotFoundError, match="no Conversation with id 9"):
            await attempt


async def test_a_part_of_the_messages(conversations, talk):
    await conversations.add_messages(talk.id, [{"content": c} for c in "abcde"])
    part = await conversations.messages(talk.id, 1, 2)
    assert [(1, "b"), (2, "c")] == [(m.position, m.content) for m in part]
    assert ["e"] == [m.content for m in await conversations.messages(talk.id, 4)]
    assert [] == await conversations.messages(talk.id, 5)
    assert [] == await conversations.messages(talk.id, 0, 0)
    assert 5 == len(await conversations.messages(talk.id, 0, 2**62))
    assert [] == await conversations.messages(talk.id, 2**62)


@pytest.mark.parametrize(("offset", "limit"), [(-1, 1), (0, -1)])
async def test_a_part_that_cannot_be(conversations, talk, offset, limit):
    with pytest.raises(InvalidDataError, match="not be negative"):
        await conversations.messages(talk.id, offset, limit)


async def test_messages_of_other_origin_are_read_as_they_are(session, conversations):
    talk = Conversation(project_id=1, title="t", messages=[{"role": "x", "a": 1}])
    session.add(talk)
    await session.flush()
    (found,) = await conversations.messages(talk.id)
    assert ("x", "", 1, None) == (found.role, found.content, found.a, found.at)


# --- finding ----------------------------------------------------------------------


async def test_conversations_of_a_project_page_by_page(conversations):
    made = await conversations.bulk_create(
        {"project_id": 1 + number % 2, "title": f"{number}"} for number in range(10)
    )
    await conversations.update(made[2].id, {"title": "2, changed"})
    page = await conversations.list_by_project(1, 3)
    rest = await conversations.list_by_project(1, 3, cursor=page.next_cursor)
    titles = [each.title for each in [*page.items, *rest.items]]
    assert "2, changed" == titles[0]
    assert {"0", "2, changed", "4", "6", "8"} == {*titles}
    only = await conversations.list_by_project(2, phase="design")
    assert [] == only.items
    with pytest.raises(InvalidDataError, match="did you mean 'design'"):
        await conversations.list_by_phase("desing")


async def test_conversations_of_a_phase(conversations):
    made = await conversations.bulk_create(
        {"project_id": 1 + number % 2, "title": "t"} for number in range(4)
    )
    ids = [each.id for each in made]
    assert 3 == await conversations.bulk_change_phase(ids[:3], "design")
    found = await conversations.list_by_phase("design")
    assert {*ids[:3]} == {each.id for each in found}
    (found,) = await conversations.list_by_phase("design", project_id=2)
    assert ids[1] == found.id
    assert 2 == len(await conversations.list_by_phase("design", limit=2))


async def test_a_conversation_needs_its_project(engine):
    with pytest.raises(MissingParentError, match="99"):
        async with engine.transaction() as session:
            await ConversationRepository(session).create(
                {"project_id": 99, "title": "t"}
            )


async def test_a_misspelt_field_is_refused(conversations, talk):
    with pytest.raises(UnknownFieldError, match="did you mean 'phase'"):
        await conversations.update(talk.id, {"phse": "design"})


async def test_an_upsert_by_an_id_as_text_is_told(conversations, talk, session):
    row = {"id": str(talk.id), "project_id": "1", "title": "t", "phase": "design"}
    assert 1 == await conversations.bulk_upsert([row])
    found = await ActivityRepository(session).list(action="phase_changed")
    assert [(talk.id, 1, {"from": "discovery", "to": "design"})] == [
        (event.entity_id, event.project_id, event.payload) for event in found
    ]


# --- how it went ------------------------------------------------------------------


async def test_the_last_phase_is_the_one_it_is_in(conversations, talk, session):
    await conversations.change_phase(talk.id, "design")
    talk.phase = "testing"  # which activity does not know
    await session.flush()
    first, second, last = (await conversations.flow(talk.id)).stages
    assert ["discovery", "design", "testing"] == [first.name, second.name, last.name]
    assert first.left_at == second.entered_at
    assert talk.updated_at == second.left_at == last.entered_at
    assert last.left_at is None


async def test_the_flow_of_a_conversation(conversations, talk):
    minutes = [0, 1, 11, 12, 14]
    roles = ["user", "assistant", "user", "tool", "assistant"]
    await conversations.add_messages(
        talk.id,
        [
            {"role": role, "content": "x" * n, "at": START + timedelta(minutes=minute)}
            for n, (role, minute) in enumerate(zip(roles, minutes, strict=True))
        ],
    )
    await conversations.change_phase(talk.id, "design")
    await conversations.change_phase(talk.id, "testing")
    flow = await conversations.flow(talk.id)
    assert ["discovery", "design", "testing"] == [stage.name for stage in flow.stages]
    assert (talk.id, 5, 2.0) == (
        flow.conversation_id, flow.messages, flow.average_length
    )  # fmt: skip
    assert {"user": 2, "assistant": 2, "tool": 1} == flow.by_role
    assert START == flow.first_message_at
    assert START + timedelta(minutes=14) == flow.last_message_at
    assert timedelta(minutes=3.5) == flow.average_gap
    assert timedelta(minutes=10) == flow.longest_gap
    assert timedelta(minutes=1) == flow.average_response


async def test_the_flow_of_a_conversation_without_messages(conversations, talk):
    flow = await conversations.flow(talk.id)
    assert (0, {}, None) == (flow.messages, flow.by_role, flow.average_length)
    assert [None] * 5 == [
        flow.first_message_at, flow.last_message_at, flow.average_gap,
        flow.longest_gap, flow.average_response,
    ]  # fmt: skip


async def test_the_flow_of_messages_of_other_origin(conversations, talk, session):
    await session.execute(
        text(
            """UPDATE conversations SET messages = '[1, {"at": "x"}, {"role": "r"}]'"""
        )
    )
    flow = await conversations.flow(talk.id)
    assert (3, {"r": 1}) == (flow.messages, flow.by_role)
    assert flow.first_message_at is None
