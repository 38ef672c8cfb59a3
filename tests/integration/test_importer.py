"""
A git working tree becomes rows, and a second import changes what has changed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from database_support import made_anew
from import_support import (
    Tree,
    count,
    counted,
    documents,
    events,
    fresh,
    new_tree,
    outcome,
    talk,
    told,
)
from sqlalchemy import select

from project_architect_db import (
    Conversation,
    DatabaseEngine,
    Document,
    DocumentRepository,
    NotARepositoryError,
    Project,
    Repository,
)
from project_architect_db.domain import import_conversations, import_history
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.domain.models import Activity
from project_architect_db.domain.overview import repository_overview
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


@pytest.mark.slow
async def test_a_tree_becomes_project_repository_and_documents(engine, tree):
    tree.write(app_py="print(1)\nprint(2)\n", README_md="# hello")
    tree.commit()
    tree.commit("Bob <bob@example.org>")
    tree.git("remote", "add", "origin", "https://me:token@example.org/x.git")
    report = await import_working_tree(engine, tree.root)
    assert outcome(report) == (2, 0, 0, 0)
    found = await documents(engine)
    app = found["app.py"]
    assert (app.title, app.kind, app.language) == ("app.py", "file", "Python")
    assert (app.content, app.lines, app.size) == ("print(1)\nprint(2)\n", 2, 18)
    assert app.encoding == "utf-8"
    assert (app.project_id, app.repository_id) == (
        report.project_id,
        report.repository_id,
    )
    async with engine.session() as session:
        repository = await session.get_one(Repository, report.repository_id)
        project = await session.get_one(Project, report.project_id)
        overview = await repository_overview(session, report.repository_id)
    assert (project.name, project.status) == ("tree", "active")
    assert repository.path == str(tree.root)
    assert repository.url == "https://example.org/x.git"
    assert repository.branch == "main"
    assert repository.commit_count == 2
    assert repository.commits_per_month == {"2026-03": 2}
    assert overview.documents == 2
    assert overview.lines == 3
    assert [share.language for share in overview.languages] == ["Python", "Markdown"]
    assert [person["name"] for person in overview.contributors] == ["Ada", "Bob"]
    assert overview.first_commit_at == overview.last_commit_at


async def test_a_second_import_changes_what_has_changed(engine, tree):
    tree.write(a_py="1", b_py="2", c_py="3", d_py="4")
    tree.commit()
    first = await import_working_tree(engine, tree.root)
    before = await documents(engine)
    tree.write(b_py="two", e_py="5")
    (tree.root / "c.py").unlink()
    (tree.root / "d.py").write_bytes(b"\0")
    tree.commit()
    second = await import_working_tree(engine, tree.root)
    assert outcome(first) == (4, 0, 0, 0)
    assert outcome(second) == (1, 1, 1, 1)
    assert second.skipped == {"binary": 1}
    assert asdict(second)["skipped"] == {"binary": 1}
    assert second.repository_id == first.repository_id
    after = await documents(engine)
    assert list(after) == ["a.py", "b.py", "d.py", "e.py"]
    assert after["d.py"].content == "4"
    assert after["b.py"].id == before["b.py"].id
    assert after["b.py"].content == "two"
    assert after["b.py"].updated_at > before["b.py"].updated_at
    assert after["a.py"].updated_at == before["a.py"].updated_at
    assert await count(engine, Project) == await count(engine, Repository) == 1
    third = await import_working_tree(engine, tree.root / ".")
    assert outcome(third) == (0, 0, 3, 0)


async def test_what_users_made_of_documents_is_left_alone(engine, tree):
    tree.write(a_py="1", b_py="2")
    report = await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        repository = DocumentRepository(session)
        found = await repository.get_by_path(
            "a.py", project_id=report.project_id, repository_id=report.repository_id
        )
        await repository.update(found.id, {"title": "The plan", "kind": "design"})
        wish = {"project_id": report.project_id, "title": "Wish", "path": "wish.md"}
        await repository.create({**wish, "repository_id": report.repository_id})
    tree.write(a_py="changed")
    (tree.root / "b.py").unlink()
    assert outcome(await import_working_tree(engine, tree.root)) == (0, 1, 0, 1)
    after = await documents(engine)
    assert list(after) == ["a.py", "wish.md"]
    plan = after["a.py"]
    assert (plan.title, plan.kind, plan.content) == ("The plan", "design", "changed")


@pytest.mark.slow
async def test_two_trees_are_two_projects(engine, tree, tmp_path):
    tree.write(a_py="1")
    other = Tree(tmp_path / "other")
    other.write(a_py="2")
    for root in (tree.root, other.root):
        await import_working_tree(engine, root)
    assert outcome(await import_working_tree(engine, tree.root)) == (0, 0, 1, 0)
    assert await count(engine, Project) == 2
    assert await count(engine, Document) == 2


async def test_a_tree_of_nothing_is_a_repository_without_documents(engine, tree):
    report = await import_working_tree(engine, tree.root)
    assert outcome(report) == (0, 0, 0, 0)
    async with engine.session() as session:
        overview = await repository_overview(session, report.repository_id)
    assert overview.documents == overview.lines == overview.commits == 0
    assert overview.languages == []
    assert overview.head_commit is None


async def test_a_file_of_no_known_language_is_other(engine, tree):
    tree.write(unknown="x")
    report = await import_working_tree(engine, tree.root)
    async with engine.session() as session:
        overview = await repository_overview(session, report.repository_id)
    assert [share.language for share in overview.languages] == ["Other"]


@pytest.mark.slow
async def test_progress_reaches_the_number_of_files(engine, tree):
    for number in range(450):
        (tree.root / f"{number}.txt").write_text(str(number))
    steps = []
    report = await import_working_tree(
        engine, tree.root, progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(200, 450), (400, 450), (450, 450)]
    assert report.added == 450


@pytest.mark.slow
async def test_many_files_may_vanish_at_once(engine, tree):
    for number in range(5):
        (tree.root / f"{number}.txt").write_text(str(number))
    await import_working_tree(engine, tree.root)
    for file in tree.root.glob("*.txt"):
        file.unlink()
    assert outcome(await import_working_tree(engine, tree.root)) == (0, 0, 0, 5)
    assert await documents(engine) == {}


async def test_a_path_outside_of_git_changes_nothing(engine, tmp_path):
    with pytest.raises(NotARepositoryError):
        await import_working_tree(engine, tmp_path)
    assert await count(engine, Project) == 0


@pytest.mark.slow
async def test_other_writers_get_their_turn_during_an_import(engine, tree):
    for number in range(250):
        (tree.root / f"{number}.txt").write_text("x" * number)
    task = asyncio.create_task(import_working_tree(engine, tree.root))
    writes = 0
    while not task.done():
        async with engine.transaction() as session:
            session.add(Project(name="other", project_idea="x"))
        writes += 1
        await asyncio.sleep(0)
    assert writes > 1
    assert (await task).added == 250


OTHER_PROCESS = """
import duckdb, sys
try:
    duckdb.connect(sys.argv[1])
except duckdb.IOException as error:
    sys.exit(0 if "lock" in str(error) else 2)
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("whose", "opened"),
    [
        ("own", True),
        pytest.param("own", False, marks=pytest.mark.slow),
        ("another engine's", False),
        pytest.param("another engine's", True, marks=pytest.mark.slow),
    ],
)
async def test_an_import_never_gives_up_the_lock_of_a_database_in_the_tree(
    tree, tmp_path, opened, whose
):
    """
    Closing any file descriptor of it would: another process could then open it.
    """
    inside = tree.root / "app.duckdb"
    async with DatabaseEngine(inside) as first:
        await first.create_all()
    os.link(inside, tree.root / "linked.duckdb")
    tree.write(a_py="1")
    engine = DatabaseEngine(inside if whose == "own" else tmp_path / "other.duckdb")
    other = DatabaseEngine(inside)
    if whose == "own" and opened:
        await engine.open()
    if whose != "own":
        await engine.create_all()
        await other.open()
    report = await import_working_tree(engine, tree.root)
    assert report.added == 1
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(inside)], check=False
    )
    assert done.returncode == 0
    await engine.close()
    await other.close()


# --- history --------------------------------------------------------------------------


async def test_a_history_becomes_activity_and_conversations(engine, tree):
    tree.write(app_py="1\n2\n3\n", gone_py="1\n")
    one = tree.commit(message="One\n\nIt begins.", day=2)
    tree.git("tag", "-a", "v1", "-m", "x")
    (tree.root / "gone.py").unlink()
    tree.git("mv", "app.py", "main.py")
    two = tree.commit("Bob <bob@example.org>", "Two", day=3)
    report = await import_working_tree(engine, tree.root)

    assert (2, 1, 2, 0) == counted(report)
    first, second = await events(engine, "commit")
    assert ("repository", report.repository_id, report.project_id, "Ada") == (
        first.entity, first.entity_id, first.project_id, first.actor,
    )  # fmt: skip
    assert datetime(2026, 3, 2, 12, tzinfo=UTC) == first.occurred_at
    assert {
        "hash": one, "subject": "One", "email": "ada@example.org", "merge": False,
        "files": 2, "insertions": 4, "deletions": 0,
    } == first.payload  # fmt: skip
    assert ("Bob", 2, 0, 1) == (
        second.actor, second.payload["files"], second.payload["insertions"],
        second.payload["deletions"],
    )  # fmt: skip

    found = await documents(engine)
    changes = await events(engine, "changed")
    assert {"document"} == {event.entity for event in changes}
    assert [
        ("app.py", "added", None), ("gone.py", "added", None),
        ("gone.py", "deleted", None), ("main.py", "renamed", found["main.py"].id),
    ] == [
        (e.payload["path"], e.payload["change"], e.entity_id)
        for e in sorted(
            changes, key=lambda e: (e.payload["hash"] == two, e.payload["path"])
        )
    ]  # fmt: skip
    renamed = next(e for e in changes if e.payload["change"] == "renamed")
    assert {
        "hash": two, "path": "main.py", "change": "renamed", "from": "app.py",
        "insertions": 0, "deletions": 0, "repository_id": report.repository_id,
    } == renamed.payload  # fmt: skip
    assert ("Bob", datetime(2026, 3, 3, 12, tzinfo=UTC)) == (
        renamed.actor, renamed.occurred_at,
    )  # fmt: skip

    (release,) = await events(engine, "release")
    assert ("repository", report.repository_id, "COMMITTER") == (
        release.entity, release.entity_id, release.actor,
    )  # fmt: skip
    assert {"tag": "v1", "hash": one} == release.payload
    assert datetime(2026, 3, 1, tzinfo=UTC) == release.occurred_at

    async with engine.session() as session:
        rows = [*await session.scalars(select(Conversation).order_by(Conversation.id))]
        overview = await repository_overview(session, report.repository_id)
    assert [("Up to v1", "implementation"), ("Unreleased", "maintenance")] == [
        (row.title, row.phase) for row in rows
    ]
    assert [
        {
            "role": "user", "content": "One\n\nIt begins.", "author": "Ada",
            "at": "2026-03-02T12:00:00Z", "hash": one,
            "imported_from": report.repository_id,
        }
    ] == rows[0].messages  # fmt: skip
    assert datetime(2026, 3, 3, 12, tzinfo=UTC) == rows[1].created_at
    assert rows[1].created_at == rows[1].updated_at
    assert (1, 2, report.events) == (
        overview.releases, overview.conversations, overview.events,
    )  # fmt: skip
    assert report.events == await count(engine, Activity)


@pytest.mark.slow
async def test_what_the_import_made_is_told_as_made_by_it(engine, tree):
    tree.write(a_py="1", b_py="2")
    tree.commit()
    report = await import_working_tree(engine, tree.root)
    made = [
        (event.entity, event.entity_id, event.payload)
        for event in await events(engine, "created")
    ]
    assert [
        ("project", report.project_id, {"status": "active"}),
        ("repository", report.repository_id, {}),
        ("document", None, {"count": 2}),
        ("conversation", 1, {"phase": "implementation"}),
    ] == made
    tree.write(a_py="changed")
    (tree.root / "b.py").unlink()
    tree.commit()
    await import_working_tree(engine, tree.root)
    updated = await events(engine, "updated")
    assert ["repository", "document"] == [event.entity for event in updated]
    assert {"head_commit", "commit_count"} <= {*updated[0].payload["fields"]}
    (removed,) = await events(engine, "deleted")
    assert {"count": 1, "ids": [2], "paths": ["b.py"]} == removed.payload
    assert "import" == removed.actor


@pytest.mark.slow
async def test_an_import_of_what_is_there_already_writes_nothing(engine, tree):
    tree.write(a_py="1")
    tree.commit()
    tree.git("tag", "v1")
    first = await import_working_tree(engine, tree.root)
    again = await import_working_tree(engine, tree.root)
    assert (0, 0, 0, 0) == counted(again)
    assert (0, first.events) == (again.events, await count(engine, Activity))


@pytest.mark.slow
async def test_new_commits_go_on_with_the_unreleased_conversation(engine, tree):
    tree.commits([1, 2])
    tree.git("tag", "v1")
    tree.commits([3])
    await import_working_tree(engine, tree.root)
    for number in (4, 5):
        tree.commits([number])
        report = await import_working_tree(engine, tree.root)
        assert (1, 0, 1, 0) == counted(report)
    assert {"Up to v1": ["1", "2"], "Unreleased": ["3", "4", "5"]} == await talk(engine)
    assert await fresh(tree.root) == await told(engine)
    async with engine.session() as session:
        last = await session.get_one(Conversation, 2)
    assert datetime(1970, 1, 1, 3, tzinfo=UTC) == last.created_at
    assert datetime(1970, 1, 1, 5, tzinfo=UTC) == last.updated_at


@pytest.mark.slow
async def test_a_new_tag_makes_the_unreleased_conversation_that_of_a_release(
    engine, tree
):
    tree.commits([1, 2, 3])
    await import_working_tree(engine, tree.root)
    tree.git("tag", "v1")
    assert (0, 1, 0, 0) == counted(await import_working_tree(engine, tree.root))
    assert {"Up to v1": ["1", "2", "3"]} == await talk(engine)
    tree.commits([4])
    await import_working_tree(engine, tree.root)
    assert ["Up to v1", "Unreleased"] == [*await talk(engine)]


@pytest.mark.slow
async def test_a_tag_in_the_middle_splits_a_conversation(engine, tree):
    tree.commits([1, 2, 3, 4])
    await import_working_tree(engine, tree.root)
    tree.git("tag", "v1", "main~2")
    report = await import_working_tree(engine, tree.root)
    assert (0, 1, 1, 0) == counted(report)
    assert {"Up to v1": ["1", "2"], "Unreleased": ["3", "4"]} == await talk(engine)
    async with engine.session() as session:
        rows = [*await session.scalars(select(Conversation).order_by(Conversation.id))]
    assert [(1, 2), (3, 4)] == [
        (row.created_at.hour, row.updated_at.hour) for row in rows
    ]
    assert await fresh(tree.root) == await told(engine)


@pytest.mark.slow
async def test_tags_that_are_moved_or_deleted_are_followed(engine, tree):
    tree.commits([1, 2, 3])
    tree.git("tag", "v1", "main~2")
    tree.git("tag", "v2", "main~1")
    await import_working_tree(engine, tree.root)
    tree.git("tag", "--force", "v2", "main")
    assert 1 == (await import_working_tree(engine, tree.root)).releases
    assert {"Up to v1": ["1"], "v1 → v2": ["2"], "v1 → v2 (2)": ["3"]} == await talk(
        engine
    )
    tree.git("tag", "--delete", "v1")
    assert 0 == (await import_working_tree(engine, tree.root)).releases
    assert ["v2"] == [e.payload["tag"] for e in await events(engine, "release")]
    assert ["Up to v2", "Up to v2 (2)", "Up to v2 (3)"] == [*await talk(engine)]


async def test_many_tags_on_one_commit_are_many_releases_and_one_conversation(
    engine, tree
):
    tree.commits([1])
    for name in ("latest", "v1", "v1.0", "v1.0.0"):
        tree.git("tag", name)
    assert (1, 4, 1, 0) == counted(await import_working_tree(engine, tree.root))
    assert {"Up to latest": ["1"]} == await talk(engine)


@pytest.mark.slow
async def test_a_tag_on_a_branch_that_was_not_merged_is_a_release(engine, tree):
    tree.commits([1, 2])
    tree.git("switch", "-q", "-c", "stable", "main")
    tree.commit(message="backport")
    tree.git("tag", "v1")
    tree.git("switch", "-q", "main")
    tree.commits([3])
    assert (3, 1, 2, 0) == counted(await import_working_tree(engine, tree.root))
    assert {"Up to v1": ["1", "2"], "Unreleased": ["3"]} == await talk(engine)


async def test_a_rewritten_history_is_followed(engine, tree):
    tree.write(a_py="1\n")
    tree.commit(message="kept")
    tree.write(b_py="1\n")
    tree.commit(message="old")
    tree.git("tag", "v1")
    await import_working_tree(engine, tree.root)
    tree.git("commit", "-q", "--amend", "-m", "new")
    tree.git("tag", "--delete", "v1")
    report = await import_working_tree(engine, tree.root)
    assert (1, 0, 1, 1) == counted(report)
    assert {"Unreleased": ["kept", "new"]} == await talk(engine)
    assert 2 == len(await events(engine, "changed"))
    assert await fresh(tree.root) == await told(engine)


@pytest.mark.slow
async def test_a_history_replaced_by_another_leaves_nothing_behind(engine, tree):
    tree.commits([1, 2])
    tree.git("tag", "v1")
    await import_working_tree(engine, tree.root)
    tree.git("tag", "--delete", "v1")
    tree.git("checkout", "-q", "--orphan", "other")
    tree.commit(message="other")
    report = await import_working_tree(engine, tree.root)
    assert (1, 0, 1, 2) == counted(report)
    assert {"Unreleased": ["other"]} == await talk(engine)
    assert [1] == [
        event.entity_id for event in await events(engine, "deleted", "conversation")
    ]
    assert await fresh(tree.root) == await told(engine)


@pytest.mark.slow
async def test_a_detached_head_has_the_history_that_leads_to_it(engine, tree):
    tree.commits([1, 2, 3])
    await import_working_tree(engine, tree.root)
    tree.git("checkout", "-q", "main~1")
    report = await import_working_tree(engine, tree.root)
    assert (0, 0, 0, 1) == counted(report)
    assert {"Unreleased": ["1", "2"]} == await talk(engine)
    async with engine.session() as session:
        repository = await session.get_one(Repository, report.repository_id)
    assert (None, None) == (repository.branch, repository.default_branch)


async def test_what_a_shallow_clone_gets_later_is_added(engine, tree, tmp_path):
    for number in range(4):
        tree.write(**{f"f{number}": "1\n"})
        tree.commit(message=str(number))
    source = f"file://{tree.root}"
    tree.git("clone", "-q", "--depth=2", source, str(tmp_path / "clone"))
    report = await import_working_tree(engine, tmp_path / "clone")
    assert (2, 0, 1, 0) == counted(report)
    cut_off, whole = await events(engine, "commit")
    assert (True, 0) == (cut_off.payload["cut_off"], cut_off.payload["files"])
    assert 1 == whole.payload["files"]
    fetch = ("git", "fetch", "-q", "--unshallow")
    subprocess.run(fetch, cwd=tmp_path / "clone", check=True)
    report = await import_working_tree(engine, tmp_path / "clone")
    assert (3, 0, 1, 1) == counted(report)
    assert await fresh(tree.root) == await told(engine)


@pytest.mark.slow
async def test_hostile_names_and_messages_are_kept(engine, tree):
    (tree.root / "new\nline \x1b[31m.py").write_text("1")
    message = "😀 \x1b[31m'); DROP TABLE activity; --\n\n" + "x" * 100_000
    tree.commit("\x01 'Ada' <a@b>", message)
    tree.git("tag", "a'\"b→", "-m", "x")
    await import_working_tree(engine, tree.root)
    assert [[message]] == [*(await talk(engine)).values()]
    (change,) = await events(engine, "changed")
    (found,) = (await documents(engine)).values()
    assert (found.path, found.id) == (change.payload["path"], change.entity_id)
    (release,) = await events(engine, "release")
    assert "a'\"b→" == release.payload["tag"]


async def test_nobody_is_no_actor(engine, tree):
    told = "commit refs/heads/main\ncommitter  <> 1 +0000\ndata 1\nx\n"
    command = ("git", "fast-import", "--quiet")
    subprocess.run(command, cwd=tree.root, input=told.encode(), check=True)
    await import_working_tree(engine, tree.root)
    (event,) = await events(engine, "commit")
    assert event.actor is None
    async with engine.session() as session:
        row = await session.get_one(Conversation, 1)
    assert "author" not in row.messages[0]


# --- batches --------------------------------------------------------------------------


@pytest.mark.slow
async def test_two_thousand_commits_are_two_conversations(engine, tree):
    tree.commits(range(2_000))
    steps = []
    report = await import_working_tree(
        engine, tree.root, history_progress=lambda *step: steps.append(step)
    )
    assert (2_000, 0, 2, 0) == counted(report)
    assert [(n, 2_000) for n in (400, 800, 1_200, 1_600, 2_000)] == steps
    parts = await talk(engine)
    assert ["Unreleased", "Unreleased (2)"] == [*parts]
    assert [str(n) for n in range(2_000)] == [
        m for part in parts.values() for m in part
    ]


@pytest.mark.slow
async def test_a_long_conversation_goes_on_in_the_next(engine, tree, monkeypatch):
    monkeypatch.setattr(import_conversations, "MESSAGES", 3)
    monkeypatch.setattr(import_history, "COMMITS_PER_BATCH", 4)
    tree.commits(range(5))
    await import_working_tree(engine, tree.root)
    tree.commits(range(5, 9))
    await import_working_tree(engine, tree.root)
    assert {
        "Unreleased": ["0", "1", "2"],
        "Unreleased (2)": ["3", "4", "5"],
        "Unreleased (3)": ["6", "7", "8"],
    } == await talk(engine)
    tree.git("tag", "v1", "main~4")
    await import_working_tree(engine, tree.root)
    assert {
        "Up to v1": ["0", "1", "2"],
        "Up to v1 (2)": ["3", "4"],
        "Unreleased": ["6", "7", "8"],
        "Unreleased (2)": ["5"],
    } == await talk(engine)


async def test_a_cancelled_import_is_completed_by_the_next(engine, tree, monkeypatch):
    monkeypatch.setattr(import_history, "COMMITS_PER_BATCH", 2)
    tree.commits([1, 2, 3])
    tree.git("tag", "v1")
    tree.git("switch", "-q", "-c", "side", "main~1")
    tree.write(s_py="1\n")
    tree.commit(message="side")
    tree.git("switch", "-q", "main")
    tree.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    tree.commits([6])
    tree.git("reset", "-q", "--hard")

    def stop(done, total):
        task.cancel()

    for left in (4, 2):
        task = asyncio.create_task(
            import_working_tree(engine, tree.root, history_progress=stop)
        )
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left == 6 - len(await events(engine, "commit"))
    report = await import_working_tree(engine, tree.root)
    assert (2, 0, 1, 0) == counted(report)
    assert await fresh(tree.root) == await told(engine)


async def test_a_batch_that_fails_leaves_nothing_of_it(engine, tree, monkeypatch):
    tree.write(a_py="1\n")
    tree.commit(message="1")

    def fail(*_):
        raise RuntimeError("full")

    with monkeypatch.context() as broken:
        broken.setattr(import_history, "message_of", fail)
        with pytest.raises(RuntimeError, match="full"):
            await import_working_tree(engine, tree.root)
    assert [] == await events(engine, "commit") + await events(engine, "changed")
    await import_working_tree(engine, tree.root)
    assert await fresh(tree.root) == await told(engine)


KILLED = """
import asyncio, os, signal, sys
from project_architect_db import DatabaseEngine
from project_architect_db.domain import import_history
from project_architect_db.domain.importer import import_working_tree

import_history.COMMITS_PER_BATCH = 3

async def main():
    async with DatabaseEngine(sys.argv[1]) as engine:
        await engine.create_all()
        await import_working_tree(
            engine, sys.argv[2],
            history_progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL),
        )

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.slow
async def test_a_killed_import_is_completed_by_the_next(tree, tmp_path):
    tree.commits(range(5))
    tree.git("tag", "v1", "main~1")
    file = tmp_path / "app.duckdb"
    command = [sys.executable, "-c", KILLED, str(file), str(tree.root)]
    done = subprocess.run(command, check=False)
    assert -signal.SIGKILL == done.returncode
    async with DatabaseEngine(file) as engine:
        assert 3 == len(await events(engine, "commit"))
        assert 2 == (await import_working_tree(engine, tree.root)).commits
        assert await fresh(tree.root) == await told(engine)


# --- what is not the import's ---------------------------------------------------------


@pytest.mark.slow
async def test_messages_and_titles_of_others_are_left_alone(engine, tree):
    tree.commits([1, 2])
    report = await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        row = await session.get_one(Conversation, 1)
        row.title = "The great rewrite"
        row.messages.append({"role": "assistant", "content": "Well done."})
        session.add(
            Conversation(
                project_id=report.project_id, title="Unreleased",
                messages=[{"role": "user", "content": "mine", "hash": "of mine"}],
            )
        )  # fmt: skip
        session.add(
            Document(
                project_id=report.project_id, repository_id=report.repository_id,
                title="note",
            )
        )  # fmt: skip
    tree.commits([3])
    tree.git("tag", "v1", "main~1")
    await import_working_tree(engine, tree.root)
    async with engine.session() as session:
        rows = await session.scalars(select(Conversation).order_by(Conversation.id))
        assert [
            ("The great rewrite", ["1", "2", "Well done."]),
            ("Unreleased", ["mine"]),
            ("Unreleased", ["3"]),
        ] == [(row.title, [m["content"] for m in row.messages]) for row in rows]
    assert 1 == await count(engine, Document)


@pytest.mark.slow
async def test_what_others_said_about_a_forgotten_commit_is_kept(engine, tree):
    tree.commits([1])
    await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        row = await session.get_one(Conversation, 1)
        row.messages.append({"role": "assistant", "content": "Why?"})
    tree.git("checkout", "-q", "--orphan", "other")
    tree.commit(message="other")
    await import_working_tree(engine, tree.root)
    async with engine.session() as session:
        rows = await session.scalars(select(Conversation).order_by(Conversation.id))
        assert [["Why?"], ["other"]] == [
            [m["content"] for m in row.messages] for row in rows
        ]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://ada:token@www.github.com/ada/engine/", "ada/engine"),
        ("git@github.com:Ada/my.engine.git", "Ada/my.engine"),
        ("https://github.com.example.org/ada/engine", None),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("https://github.com/ada/engine.git", "ada/engine"),
                ("ssh://git@ssh.github.com:443/ada/engine", "ada/engine"),
                ("git://GitHub.com/ada/engine", "ada/engine"),
                ("https://github.com/ada", None),
                ("https://example.org/github.com/ada/engine", None),
                ("https://gitlab.com/ada/engine", None),
            )
        ),
    ],
)
async def test_the_url_tells_the_name_on_github(engine, tree, url, name):
    tree.git("remote", "add", "origin", url)
    report = await import_working_tree(engine, tree.root)
    async with engine.transaction() as session:
        repository = await session.get_one(Repository, report.repository_id)
        assert (name and {"full_name": name}) == repository.github
        if name:
            repository.github["stargazers_count"] = 5
    await import_working_tree(engine, tree.root)
    tree.git("remote", "set-url", "origin", "https://github.com/bob/other")
    async with engine.session() as session:
        repository = await session.get_one(Repository, report.repository_id)
        assert (5 if name else None) == (repository.github or {}).get(
            "stargazers_count"
        )
    await import_working_tree(engine, tree.root)
    async with engine.session() as session:
        repository = await session.get_one(Repository, report.repository_id)
        assert {"full_name": "bob/other"} == repository.github
