"""
Fixtures of the tests of everything concurrent.
"""

from __future__ import annotations

import asyncio
import time

import pytest
import uvloop
from concurrency_support import PATIENCE, Counter, Model, our_threads

from project_architect_db import DatabaseEngine


def pytest_asyncio_loop_factories():
    """
    Each test on both event loops: they schedule differently.
    """
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


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


@pytest.fixture
async def engine(path):
    """
    A database file with one counter in it.
    """
    async with DatabaseEngine(path, metadata=Model.metadata, threads=2) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Counter(id=1))
        yield engine
