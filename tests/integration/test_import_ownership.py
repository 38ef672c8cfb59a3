"""
What the importer has said in conversations is known by its mark, and by nothing else.
"""

from __future__ import annotations

import asyncio
import subprocess

import pytest
import pytest_asyncio
from database_support import made_anew
from import_support import Tree, counted, new_tree, talk
from sqlalchemy import select

from project_architect_db import (
    Conversation,
    ConversationRepository,
    Repository,
    RepositoryRepository,
)
from project_architect_db.domain import import_history
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    return new_tree(tmp_path / "tree", monkeypatch)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database():
    async with temporary_database() as engine:
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def engine(database):
    """
    The database of all tests here, with nothing in it.
    """
    return await made_anew(database)


async def clone(engine, tree, name="clone"):
    """
    A clone in the project of its origin, not yet imported.
    """
    root = tree.root.parent / name
    subprocess.run(("git", "clone", "-q", str(tree.root), str(root)), check=True)
    made = Tree.__new__(Tree)
    made.root = root
    async with engine.transaction() as session:
        await RepositoryRepository(session).create(
            {"project_id": 1, "name": name, "path": str(root)}
        )
    return made


async def messages(engine):
    """
    All messages of all conversations.
    """
    async with engine.session() as session:
        rows = await session.scalars(select(Conversation).order_by(Conversation.id))
        return [message for row in rows for message in row.messages]


async def forget_marks(engine):
    """
    Leave the messages as earlier versions have written them.
    """
    async with engine.transaction() as session:
        for row in await session.scalars(select(Conversation)):
            row.messages = [
                {name: value for name, value in each.items() if name != "imported_from"}
                for each in row.messages
            ]


async def marks(engine):
    return {m["content"]: m.get("imported_from") for m in await messages(engine)}


# --- several repositories with the same commits ---------------------------------------


async def test_a_clone_in_the_same_project_tells_nothing_twice(engine, tree):
    tree.commits([1, 2])
    tree.git("tag", "v1")
    tree.commits([3])
    await import_working_tree(engine, tree.root)
    other = await clone(engine, tree)
    report = await import_working_tree(engine, other.root)
    assert (3, 1, 0, 0) == counted(report)
    assert {"Up to v1": ["1", "2"], "Unreleased": ["3"]} == await talk(engine)
    other.commits([4])
    await import_working_tree(engine, other.root)
    assert [("1", 1), ("2", 1), ("3", 1), ("4", 2)] == [*(await marks(engine)).items()]
    tree.git("pull", "-q", str(other.root), "main")
    await import_working_tree(engine, tree.root)
    assert 4 == len(await messages(engine))


async def test_a_commit_that_a_clone_still_has_is_handed_to_it(engine, tree):
    tree.commits([1, 2])
    await import_working_tree(engine, tree.root)
    other = await clone(engine, tree)
    await import_working_tree(engine, other.root)
    tree.git("update-ref", "refs/heads/main", "main~1")
    assert (0, 0, 0, 1) == counted(await import_working_tree(engine, tree.root))
    assert {"1": 1, "2": 2} == await marks(engine)
    other.git("update-ref", "refs/heads/main", "main~1")
    assert (0, 0, 0, 1) == counted(await import_working_tree(engine, other.root))
    assert {"1": 1} == await marks(engine)


@pytest.mark.slow
async def test_a_conversation_that_somebody_has_deleted_is_not_told_by_a_clone(
    engine, tree
):
    tree.commits([1, 2])
    await import_working_tree(engine, tree.root)
    other = await clone(engine, tree)
    async with engine.transaction() as session:
        await session.delete(await session.get_one(Conversation, 1))
    await import_working_tree(engine, other.root)
    assert [] == await messages(engine)


@pytest.mark.slow
async def test_clones_that_are_imported_at_the_same_time_tell_each_commit_once(
    engine, tree, monkeypatch
):
    monkeypatch.setattr(import_history, "COMMITS_PER_BATCH", 1)
    await import_working_tree(engine, tree.root)
    tree.commits(range(6))
    other = await clone(engine, tree)
    roots = (tree.root, other.root)
    await asyncio.gather(*(import_working_tree(engine, root) for root in roots))
    assert [*"012345"] == sorted(each["content"] for each in await messages(engine))


@pytest.mark.parametrize("old", [False, True])
async def test_what_a_repository_that_is_gone_has_told_is_taken_over(engine, tree, old):
    tree.commits([1, 2])
    await import_working_tree(engine, tree.root)
    if old:
        await forget_marks(engine)
    async with engine.transaction() as session:
        await session.delete(await session.get_one(Repository, 1))
        await RepositoryRepository(session).create(
            {"project_id": 1, "name": "again", "path": str(tree.root)}
        )
    tree.commits([3])
    assert (3, 0, 1, 0) == counted(await import_working_tree(engine, tree.root))
    assert {"Unreleased": ["1", "2", "3"]} == await talk(engine)
    assert {2} == {*(await marks(engine)).values()}


@pytest.mark.slow
async def test_what_nobody_has_any_more_stays_without_an_owner(engine, tree):
    tree.commits([1, 2])
    await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        await session.delete(await session.get_one(Repository, 1))
        await RepositoryRepository(session).create(
            {"project_id": 1, "name": "again", "path": str(tree.root)}
        )
    tree.git("update-ref", "refs/heads/main", "main~1")
    await import_working_tree(engine, tree.root)
    assert {"1": 2, "2": 1} == await marks(engine)


# --- what users say -------------------------------------------------------------------


@pytest.mark.slow
async def test_a_message_of_a_user_is_kept_whatever_its_hash(engine, tree):
    tree.commits([1])
    report = await import_working_tree(engine, tree.root)
    (theirs,) = await messages(engine)
    of_users = [
        {"content": "I wonder why.", "hash": theirs["hash"]},
        {"content": "1", "hash": theirs["hash"], "author": "Ada", "at": theirs["at"]},
        {"content": "strange", "hash": [theirs["hash"]], "imported_from": [1]},
        {"content": "true", "hash": theirs["hash"], "imported_from": True},
        {"content": "no hash", "imported_from": 1},
    ]
    async with engine.transaction() as session:
        conversations = ConversationRepository(session)
        await conversations.add_messages(1, of_users)
        await conversations.create({
            "project_id": report.project_id, "title": "Unreleased",
            "messages": [{"content": "elsewhere", "hash": theirs["hash"]}],
        })  # fmt: skip
    tree.git("checkout", "-q", "--orphan", "other")
    tree.commit(message="other")
    assert (1, 0, 1, 1) == counted(await import_working_tree(engine, tree.root))
    kept = ["I wonder why.", "1", "strange", "true", "no hash", "elsewhere", "other"]
    assert kept == [message["content"] for message in await messages(engine)]


async def test_an_edited_message_is_still_the_importers(engine, tree):
    """
    Even one whose time cannot be told any more is moved and removed as before.
    """
    tree.commits([1, 2, 3, 4])
    await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        row = await session.get_one(Conversation, 1)
        for message, at in zip(
            row.messages, ("soon", 5, "2026-03-01T00:00"), strict=False
        ):
            message["at"] = at
        row.messages[3]["content"] = "edited"
    tree.git("tag", "v1", "main~1")
    await import_working_tree(engine, tree.root)
    assert {"Up to v1": ["1", "2", "3"], "Unreleased": ["edited"]} == await talk(engine)


# --- what earlier versions imported ---------------------------------------------------


async def test_what_an_earlier_version_has_told_gets_the_mark(engine, tree):
    tree.write(a_py="1")
    tree.commit("Ada <ada@example.org>", "One\n\nIt begins.", day=2)
    tree.commit("Bob <bob@example.org>", "x" * 300)
    nobody = (
        "commit refs/heads/main\ncommitter  <c@d> 1 +0000\ndata 1\ny\nfrom main^0\n"
    )
    command = ("git", "fast-import", "--quiet")
    subprocess.run(command, cwd=tree.root, input=nobody.encode(), check=True)
    await import_working_tree(engine, tree.root)
    await forget_marks(engine)
    async with engine.transaction() as session:
        row = await session.get_one(Conversation, 1)
        row.messages.append(row.messages[0] | {"content": "One?"})
        row.messages.append(row.messages[0] | {"pinned": True})
        await session.flush()
        before = row.updated_at
    tree.commits([3])
    tree.git("tag", "v1", "main~1")
    assert (1, 1, 1, 0) == counted(await import_working_tree(engine, tree.root))
    told = await messages(engine)
    assert [1, 1, 1, None, None, 1] == [each.get("imported_from") for each in told]
    assert ["Up to v1", "Unreleased"] == [*await talk(engine)]
    async with engine.session() as session:
        assert before == (await session.get_one(Conversation, 1)).updated_at
    tree.git("checkout", "-q", "--orphan", "other")
    tree.git("tag", "--delete", "v1")
    tree.commit(message="other")
    await import_working_tree(engine, tree.root)
    assert ["One?", "One\n\nIt begins.", "other"] == [
        each["content"] for each in await messages(engine)
    ]


@pytest.mark.slow
async def test_what_earlier_versions_told_is_that_of_the_first_repository(engine, tree):
    tree.commits([1])
    await import_working_tree(engine, tree.root)
    other = await clone(engine, tree)
    await forget_marks(engine)
    other.commits([2])
    await import_working_tree(engine, other.root)
    assert {"1": 1, "2": 2} == await marks(engine)
