"""
Whole workflows on real files: from idea to completion, many users, a killed process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from project_architect_db import (
    Activity,
    ActivityRepository,
    Conversation,
    ConversationRepository,
    DatabaseEngine,
    Document,
    DocumentRepository,
    Project,
    ProjectRepository,
    Repository,
    RepositoryRepository,
)

USERS = 12
ROUNDS = 3

BEGAN = Counter([
    ("project", "created", None),
    ("conversation", "created", None),
    *[("conversation", "message_added", None)] * 3,
    ("document", "created", None),
    ("project", "status_changed", "active"),
])  # fmt: skip
"""What activity tells of a project that the killed process began."""

ENDED = Counter([
    ("project", "status_changed", "completed"),
    ("conversation", "phase_changed", "testing"),
])  # fmt: skip
"""And what else, of one that it brought to its end."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.duckdb"


@pytest.fixture
async def engine(path):
    async with DatabaseEngine(path, threads=2) as engine:
        await engine.create_all()
        yield engine


@asynccontextmanager
async def reopened(path):
    """
    A transaction in a database that is opened for it and closed after it.
    """
    async with (
        DatabaseEngine(path, threads=1) as engine,
        engine.transaction() as session,
    ):
        yield session


# --- one project ----------------------------------------------------------------------


@pytest.mark.slow
async def test_a_project_from_idea_to_completion(path):
    """
    Each step in a process of its own, as far as the database can tell.
    """
    async with DatabaseEngine(path, threads=1) as engine:
        await engine.create_all()

    await begin(path)
    await plan(path)
    await build(path)
    await complete(path)

    await check_numbers(path)
    await check_trail(path)
    await check_that_nothing_is_left_when_deleted(path)


async def begin(path):
    """
    Ada has an idea, and talks about it.
    """
    async with reopened(path) as session:
        atlas = await ProjectRepository(session, actor="ada").create(
            {"name": "Atlas", "project_idea": "A map of our services"}
        )
        await ConversationRepository(session, actor="ada").create(
            {"project_id": atlas.id, "title": "Who is it for?"}
        )
    async with reopened(path) as session:
        conversations = ConversationRepository(session, actor="ada")
        began = datetime(2026, 3, 1, tzinfo=UTC)
        roles = ("user", "assistant", "user")
        contents = ("For those on call.", "At nigth?", "At night.")
        for number, (role, content) in enumerate(zip(roles, contents, strict=True)):
            at = began + timedelta(minutes=number)
            message = {"role": role, "content": content, "at": at}
            added = await conversations.add_message(1, message)
            assert added.position == number


async def plan(path):
    """
    Grace corrects a message and writes a specification, which is read twice.
    """
    async with reopened(path) as session:
        conversations = ConversationRepository(session, actor="grace")
        await conversations.edit_message(1, 1, {"content": "At night?"})
        await conversations.change_phase(1, "requirements")
        await DocumentRepository(session, actor="grace").create({
            "project_id": 1, "title": "Specification", "kind": "specification",
            "path": "docs/spec.md", "content": "One page.\n",
        })  # fmt: skip
    async with reopened(path) as session:
        await ProjectRepository(session, actor="ada").set_status(1, "active")
        documents = DocumentRepository(session, actor="ada")
        page = await documents.list_by_project(1, kind="specification")
        await documents.record_reads(document.id for document in page.items)
        await documents.update(1, {"content": "One page.\nAt night.\n"})


async def build(path):
    """
    The code comes with many files at once; its second build passes.
    """
    async with reopened(path) as session:
        repositories = RepositoryRepository(session, actor="ci")
        code = await repositories.create({
            "project_id": 1, "name": "atlas", "url": "git@github.com:acme/atlas.git",
            "commit_count": 2, "contributors": [{"name": "Grace", "commits": 2}],
        })  # fmt: skip
        await repositories.set_github(code.id, {"full_name": "acme/atlas"})
        await DocumentRepository(session, actor="ci").bulk_create([
            {
                "project_id": 1, "repository_id": code.id, "title": f"{name}.py",
                "path": f"src/{name}.py", "language": "Python", "content": "pass\n",
            }
            for name in ("map", "draw", "call")
        ])  # fmt: skip
    for number, status in enumerate(["failed", "passed"], 1):
        async with reopened(path) as session:
            await RepositoryRepository(session, actor="ci").record_build(
                1, {"status": status, "number": number, "seconds": 60 * number}
            )


async def complete(path):
    """
    It waits, goes on, and is done.
    """
    for status in ("on_hold", "active", "completed"):
        async with reopened(path) as session:
            await ProjectRepository(session, actor="grace").set_status(1, status)


async def check_numbers(path):
    async with reopened(path) as session:
        projects = ProjectRepository(session)
        (found,) = await projects.find(language="Python", build_status="passed")
        assert found.name == "Atlas"
        assert (await projects.get_by_status("completed")).share == 1.0

        metrics = await projects.metrics(1)
        assert [stage.name for stage in metrics.stages] == [
            "draft", "active", "on_hold", "active", "completed"
        ]  # fmt: skip
        assert (metrics.conversations, metrics.messages) == (1, 3)
        assert (metrics.documents, metrics.lines) == (4, 5)
        assert metrics.bytes == 20 + 3 * 5
        assert (metrics.repositories, metrics.commits) == (1, 2)
        assert (metrics.builds, metrics.build_success_rate) == (2, 0.5)
        assert metrics.contributors == 3

        flow = await ConversationRepository(session).flow(1)
        assert [stage.name for stage in flow.stages] == ["discovery", "requirements"]
        assert flow.by_role == {"user": 2, "assistant": 1}
        assert flow.average_response == timedelta(minutes=1)

        usage = await DocumentRepository(session).usage(1)
        assert (usage.reads, usage.changes) == (1, 1)
        health = await RepositoryRepository(session).health(1)
        assert health.average_build == timedelta(seconds=90)
        assert health.last_build_status == "passed"

    async with reopened(path) as session:
        atlas = await ProjectRepository(session).get_with_everything(1)
        (talk,), (code,) = atlas.conversations, atlas.repositories
        assert [message["content"] for message in talk.messages] == [
            "For those on call.", "At night?", "At night."
        ]  # fmt: skip
        assert code.github["full_name"] == "acme/atlas"
        assert {document.path for document in atlas.documents} == {
            "docs/spec.md", "src/map.py", "src/draw.py", "src/call.py"
        }  # fmt: skip
        assert len(atlas.activity) == metrics.events


async def check_trail(path):
    async with reopened(path) as session:
        events = await ActivityRepository(session).list(project_id=1)
    assert [(event.actor, event.entity, event.action) for event in events] == [
        ("ada", "project", "created"),
        ("ada", "conversation", "created"),
        ("ada", "conversation", "message_added"),
        ("ada", "conversation", "message_added"),
        ("ada", "conversation", "message_added"),
        ("grace", "conversation", "message_edited"),
        ("grace", "conversation", "phase_changed"),
        ("grace", "document", "created"),
        ("ada", "project", "status_changed"),
        ("ada", "document", "read"),
        ("ada", "document", "updated"),
        ("ci", "repository", "created"),
        ("ci", "repository", "updated"),
        ("ci", "document", "created"),
        ("ci", "repository", "build"),
        ("ci", "repository", "build"),
        ("grace", "project", "status_changed"),
        ("grace", "project", "status_changed"),
        ("grace", "project", "status_changed"),
    ]
    times = [event.occurred_at for event in events]
    assert times == sorted(times)


async def check_that_nothing_is_left_when_deleted(path):
    """
    Nothing but the memory of the deletion.
    """
    async with reopened(path) as session:
        assert await ProjectRepository(session, actor="ada").delete(1)
    async with reopened(path) as session:
        for model in (Project, Conversation, Document, Repository):
            assert await session.scalar(select(func.count()).select_from(model)) == 0
        (event,) = await ActivityRepository(session).list()
    assert (event.actor, event.action) == ("ada", "deleted")
    assert (event.entity, event.entity_id, event.project_id) == ("project", 1, None)


# --- many users -----------------------------------------------------------------------


@pytest.mark.slow
async def test_many_users_at_once(engine):
    """
    No message is lost, all keep their order, and every reader sees whole transactions.
    """
    async with engine.transaction() as session:
        shared = await ProjectRepository(session).create(
            {"name": "Shared", "project_idea": "?", "architecture": {"votes": 0}}
        )
        talks = await ConversationRepository(session).bulk_create(
            {"project_id": shared.id, "title": f"Talk {n}"} for n in range(3)
        )

    async with asyncio.TaskGroup() as group:
        for user in range(USERS):
            talk = talks[user % len(talks)]
            group.create_task(work(engine, f"user {user}", shared.id, talk.id))

    async with engine.session() as session:
        projects = ProjectRepository(session)
        assert await projects.count(name__startswith="Project of user") == USERS
        assert await projects.count(status="active") == USERS
        shared = await projects.get_one(shared.id)
        assert shared.architecture == {"votes": USERS * ROUNDS}
        for talk in talks:
            await check_talk(session, talk.id)


async def work(engine, user, project_id, talk_id):
    """
    What one user does: a project of their own, and a part in what is shared.
    """

    async def vote(session):
        project = await ProjectRepository(session).get_one(project_id)
        project.architecture["votes"] += 1

    async with engine.transaction() as session:
        own = await ProjectRepository(session, actor=user).create(
            {"name": f"Project of {user}", "project_idea": "?"}
        )
    for number in range(ROUNDS):
        async with engine.transaction() as session:
            conversations = ConversationRepository(session, actor=user)
            message = {"content": f"{number}", "author": user}
            added = await conversations.add_message(talk_id, message)
            (stored,) = await conversations.messages(talk_id, added.position)
            assert (stored.author, stored.content) == (user, f"{number}")
        await engine.run_in_transaction(vote)
        await look(engine, talk_id)
    async with engine.transaction() as session:
        await ProjectRepository(session, actor=user).set_status(own.id, "active")


async def look(engine, talk_id):
    """
    Read pages while others write: one moment of the database, and each row once.
    """
    async with engine.session() as session:
        talk = await ConversationRepository(session).get_one(talk_id)
        told = await ActivityRepository(session).count(
            entity="conversation", entity_id=talk_id, action="message_added"
        )
        assert told == len(talk.messages)

        projects, ids, cursor = ProjectRepository(session), [], None
        while True:
            page = await projects.paginate(7, cursor=cursor)
            ids += [project.id for project in page.items]
            if not page.has_more:
                break
            cursor = page.next_cursor
        assert len(ids) == len(set(ids)) == await projects.count()


async def check_talk(session, id):
    """
    Every message of every user is there, in the order in which it was written.
    """
    messages = await ConversationRepository(session).messages(id, limit=1_000)
    assert len(messages) == USERS // 3 * ROUNDS
    by_user = {}
    for message in messages:
        by_user.setdefault(message.author, []).append(message.content)
    assert len(by_user) == USERS // 3
    assert set(map(tuple, by_user.values())) == {tuple(map(str, range(ROUNDS)))}

    events = await ActivityRepository(session).list(
        1_000, entity="conversation", entity_id=id, action="message_added"
    )
    assert [(event.payload["position"], event.actor) for event in events] == [
        (message.position, message.author) for message in messages
    ]


@pytest.mark.slow
async def test_fifty_appends_to_one_conversation_are_all_kept(engine):
    async with engine.transaction() as session:
        project = await ProjectRepository(session).create(
            {"name": "Atlas", "project_idea": "?"}
        )
        talk = await ConversationRepository(session).create(
            {"project_id": project.id, "title": "All at once"}
        )

    async def append(number):
        async with engine.transaction() as session:
            return await ConversationRepository(session).add_message(
                talk.id, {"content": f"message {number}"}
            )

    added = await asyncio.gather(*map(append, range(50)))

    async with engine.session() as session:
        kept = await ConversationRepository(session).messages(talk.id)
    assert kept == sorted(added, key=lambda message: message.position)
    assert {message.content for message in kept} == {f"message {n}" for n in range(50)}
    assert [message.position for message in kept] == list(range(50))


# --- a killed process -----------------------------------------------------------------


async def do_and_say(engine, names):
    """
    Whole pieces of work, each acknowledged after its commit.
    """
    for name in names:
        async with engine.transaction() as session:
            project = await ProjectRepository(session, actor=name).create(
                {"name": name, "project_idea": "?"}
            )
            conversations = ConversationRepository(session, actor=name)
            talk = await conversations.create(
                {"project_id": project.id, "title": "Talk"}
            )
            for number in range(3):
                await conversations.add_message(talk.id, {"content": f"{number}"})
            await DocumentRepository(session, actor=name).create(
                {"project_id": project.id, "title": "Plan", "content": "One page."}
            )
            await ProjectRepository(session, actor=name).set_status(
                project.id, "active"
            )
        os.write(1, f"{name}\n".encode())
        async with engine.transaction() as session:
            await ProjectRepository(session, actor=name).set_status(
                project.id, "completed"
            )
            await ConversationRepository(session, actor=name).change_phase(
                talk.id, "testing"
            )


async def work_until_killed(path, run):
    """
    What the process does that is killed: four tasks, and checkpoints all the time.
    """
    async with DatabaseEngine(
        path, threads=1, duckdb={"checkpoint_threshold": "256KB"}
    ) as engine:
        await engine.create_all()
        numbers = itertools.count()
        names = (f"run {run}, {number}" for number in numbers)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(do_and_say(engine, names))


def kill_after(lines, path, run):
    """
    Let a process work until it has acknowledged so much, and kill it at once.
    """
    process = subprocess.Popen(
        [sys.executable, __file__, path, str(run)], stdout=subprocess.PIPE, text=True
    )
    with process:
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.readlines()
    return [line.strip() for line in said if line.endswith("\n")]


async def found_after(path):
    """
    What is in the database, and what activity says there is.
    """
    there, told = {}, {}
    async with DatabaseEngine(path) as engine, engine.session() as session:
        for project in await ProjectRepository(session).list(10_000):
            (talk,) = project.conversations
            documents = await DocumentRepository(session).count(project_id=project.id)
            events = await ActivityRepository(session).list(project_id=project.id)
            there[project.name] = (
                project.status, talk.phase, len(talk.messages), documents
            )  # fmt: skip
            told[project.name] = Counter(
                (event.entity, event.action, event.payload.get("to"))
                for event in events
                if event.actor == project.name
            )
        orphans = await ActivityRepository(session).count(project_id=None)
        total = await session.scalar(select(func.count()).select_from(Activity))
    assert orphans == 0
    assert total == sum(counts.total() for counts in told.values())
    return there, told


@pytest.mark.slow
def test_only_whole_transactions_are_left_of_a_killed_process(path):
    """
    What was acknowledged is there, nothing is there by half, and activity agrees.
    """
    acknowledged = set()
    for run, lines in enumerate([2, 6]):
        acknowledged |= set(kill_after(lines, path, run))

        there, told = asyncio.run(found_after(path))

        assert acknowledged - there.keys() == set()
        for name, state in there.items():
            is_done = state[0] == "completed"
            phase = "testing" if is_done else "discovery"
            assert state == ("completed" if is_done else "active", phase, 3, 1)
            assert told[name] == (BEGAN + ENDED if is_done else BEGAN)


if __name__ == "__main__":
    asyncio.run(work_until_killed(sys.argv[1], sys.argv[2]))
