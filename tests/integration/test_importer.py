"""
A git working tree becomes rows, and a second import changes what has changed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from sqlalchemy import func, select

from project_architect_db import (
    DatabaseEngine,
    Document,
    NotARepositoryError,
    Project,
    Repository,
)
from project_architect_db.domain import importer
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.domain.overview import repository_overview


class Tree:
    """
    A real git working tree in a temporary folder.
    """

    def __init__(self, root):
        self.root = root
        root.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments):
        subprocess.run(("git", *arguments), cwd=self.root, check=True)

    def write(self, **files):
        for name, data in files.items():
            (self.root / name.replace("_", ".")).write_text(data, encoding="utf-8")

    def commit(self, author="Ada <ada@example.org>"):
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "x", f"--author={author}")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", who)
        monkeypatch.setenv(f"GIT_{who}_EMAIL", f"{who}@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-03-01T00:00:00+00:00")
    return Tree(tmp_path / "tree")


@pytest.fixture
async def engine():
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        yield engine


def outcome(report):
    return report.added, report.updated, report.unchanged, report.removed


async def documents(engine):
    async with engine.session() as session:
        rows = await session.scalars(select(Document).order_by(Document.path))
        return {document.path: document for document in rows}


async def count(engine, model):
    async with engine.session() as session:
        return await session.scalar(select(func.count()).select_from(model))


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
    assert outcome(second) == (1, 1, 1, 2)
    assert second.skipped == {"binary": 1}
    assert asdict(second)["skipped"] == {"binary": 1}
    assert second.repository_id == first.repository_id
    after = await documents(engine)
    assert list(after) == ["a.py", "b.py", "e.py"]
    assert after["b.py"].id == before["b.py"].id
    assert after["b.py"].content == "two"
    assert after["b.py"].updated_at > before["b.py"].updated_at
    assert after["a.py"].updated_at == before["a.py"].updated_at
    assert await count(engine, Project) == await count(engine, Repository) == 1
    third = await import_working_tree(engine, tree.root / ".")
    assert outcome(third) == (0, 0, 3, 0)


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


async def test_progress_reaches_the_number_of_files(engine, tree):
    for number in range(450):
        (tree.root / f"{number}.txt").write_text(str(number))
    steps = []
    report = await import_working_tree(
        engine, tree.root, progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(200, 450), (400, 450), (450, 450)]
    assert report.added == 450


async def test_many_files_may_vanish_at_once(engine, tree, monkeypatch):
    monkeypatch.setattr(importer, "IDS_PER_DELETE", 2)
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


async def test_other_writers_get_their_turn_during_an_import(engine, tree):
    for number in range(600):
        (tree.root / f"{number}.txt").write_text("x" * number)
    task = asyncio.create_task(import_working_tree(engine, tree.root))
    writes = 0
    while not task.done():
        async with engine.transaction() as session:
            session.add(Project(name="other", project_idea="x"))
        writes += 1
        await asyncio.sleep(0)
    assert writes > 1
    assert (await task).added == 600


OTHER_PROCESS = """
import duckdb, sys
try:
    duckdb.connect(sys.argv[1])
except duckdb.IOException as error:
    sys.exit(0 if "lock" in str(error) else 2)
sys.exit(1)
"""


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("whose", ["own", "another engine's"])
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
