"""
Fixtures of the tests of everything concurrent.
"""

from __future__ import annotations

import asyncio
import shutil
import time
import zlib

import pytest
import uvloop
from concurrency_support import PATIENCE, Counter, Model, our_threads

from project_architect_db import DatabaseEngine


def pytest_asyncio_loop_factories(config, item):
    """
    Two event loops, which schedule differently.

    Every day each test runs on one of them, always the same; storms, and everything
    with ``--both-loops``, on both.
    """
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if config.getoption("both_loops") or config.option.markexpr == "storm":
        return loops
    name = sorted(loops)[zlib.crc32(item.nodeid.encode()) % 2]
    return {name: loops[name]}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = our_threads()
    yield
    deadline = time.monotonic() + PATIENCE
    while our_threads() - before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert our_threads() - before == set()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.duckdb"


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """
    A database file with one counter in it, made once: it takes half of a test.
    """
    path = tmp_path_factory.mktemp("template") / "app.duckdb"

    async def make():
        async with DatabaseEngine(path, metadata=Model.metadata) as engine:
            await engine.create_all()
            async with engine.transaction() as session:
                session.add(Counter(id=1))

    asyncio.run(make())
    return path


@pytest.fixture
async def engine(path, template):
    """
    An engine on a copy of the template.
    """
    shutil.copy(template, path)
    async with DatabaseEngine(path, metadata=Model.metadata, threads=2) as engine:
        yield engine
