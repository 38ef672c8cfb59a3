"""
Imports of the same tree at the same time, and of what is no tree.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest
import pytest_asyncio
from database_support import made_anew
from import_support import count, documents, new_tree, outcome, talk

from project_architect_db import (
    DatabaseEngine,
    NotARepositoryError,
    Project,
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


async def test_imports_of_a_tree_wait_for_each_other(engine, tree, monkeypatch):
    monkeypatch.setattr(import_history, "COMMITS_PER_BATCH", 2)
    tree.commits(range(5))
    tree.write(a_py="1", b_py="2")
    tree.commit(message="last")
    reports = await asyncio.gather(
        *(import_working_tree(engine, tree.root) for _ in range(4))
    )
    assert [(0, 0, 2, 0)] * 3 + [(2, 0, 0, 0)] == sorted(map(outcome, reports))
    assert [0, 0, 0, 6] == sorted(report.commits for report in reports)
    assert [1, 1] == [await count(engine, model) for model in (Project, Repository)]
    assert ["a.py", "b.py"] == [*await documents(engine)]
    assert {"Unreleased": [*"01234", "last"]} == await talk(engine)


async def test_an_import_that_waited_reads_what_is_there_now(engine, tree):
    tree.write(a_py="1")
    tree.commit()

    def go_on(done, total):
        assert (1, 1) == (done, total)
        if not (tree.root / "b.py").exists():
            tree.write(b_py="2")
            tree.commit(day=2)

    both = [
        import_working_tree(engine, tree.root, history_progress=go_on) for _ in "ab"
    ]
    reports = sorted(map(outcome, await asyncio.gather(*both)))
    assert [(1, 0, 0, 0), (1, 0, 1, 0)] == reports
    async with engine.session() as session:
        (found,) = await RepositoryRepository(session).list()
    assert 2 == found.commit_count


async def test_an_import_that_is_cancelled_lets_the_next_one_in(engine, tree):
    tree.write(a_py="1")
    tree.commit()
    tasks = [
        asyncio.create_task(import_working_tree(engine, tree.root)) for _ in range(3)
    ]
    await asyncio.sleep(0.01)
    for task in tasks[:2]:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert (1, 1) == (sum(outcome(await tasks[2])), len(await documents(engine)))


@pytest.mark.slow
async def test_imports_in_other_threads_wait_as_well(tmp_path, tree):
    tree.write(a_py="1", b_py="2")
    tree.commit()
    file = tmp_path / "app.duckdb"

    async def run():
        async with DatabaseEngine(file) as engine:
            await import_working_tree(engine, tree.root)

    async with DatabaseEngine(file) as engine:
        await engine.create_all()
        threads = [threading.Thread(target=asyncio.run, args=(run(),)) for _ in "ab"]
        for thread in threads:
            thread.start()
        await import_working_tree(engine, tree.root)
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert [1, 2] == [await count(engine, Project), len(await documents(engine))]


@pytest.mark.parametrize("path", [None, 5, object(), "\ud800", b"/", "a\0b"])
async def test_what_is_no_path_is_no_repository(engine, path):
    with pytest.raises(NotARepositoryError):
        await import_working_tree(engine, path)
