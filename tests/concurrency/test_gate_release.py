"""
However a writer disappears, the next one gets in.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
import weakref
from contextlib import asynccontextmanager

import pytest
import uvloop
from concurrency_support import (
    ENDLESS,
    Model,
    add_one,
    assert_at_rest,
    driver_of,
    leaking_on_purpose,
    plain,
    until,
    writers_waiting,
)
from sqlalchemy import text

from project_architect_db import DatabaseEngine
from project_architect_db.dialect import write_gate

pytestmark = pytest.mark.filterwarnings(
    # A loop that dies cannot end its coroutines properly: Python complains.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
NEW_LOOPS = [
    pytest.param(asyncio.new_event_loop, id="dead-asyncio"),
    pytest.param(uvloop.new_event_loop, id="dead-uvloop"),
]


@pytest.fixture(autouse=True)
def waiters_look_often_whether_the_holder_is_alive(monkeypatch):
    monkeypatch.setattr(write_gate, "LONG_HOLD", 0.05)


async def write_one(engine):
    async with asyncio.timeout(20), engine.transaction() as session:
        await add_one(session)


async def test_closing_a_session_lets_the_next_writer_in(engine):
    session = engine.session()
    await add_one(session)
    waiter = asyncio.create_task(write_one(engine))
    await writers_waiting(engine, 1)
    await session.close()
    await waiter
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_failed_statement_lets_the_next_writer_in_at_once(engine):
    async with engine.session() as session:
        await add_one(session)
        waiter = asyncio.create_task(write_one(engine))
        await writers_waiting(engine, 1)
        with pytest.raises(Exception, match="nowhere"):
            await session.execute(text("UPDATE nowhere SET n = 1"))
        await waiter
    assert await plain(engine) == 1


async def test_invalidating_the_connection_lets_the_next_writer_in(engine):
    async with engine.session() as session:
        await add_one(session)
        waiter = asyncio.create_task(write_one(engine))
        await writers_waiting(engine, 1)
        await (await session.connection()).invalidate()
        await waiter
        await session.rollback()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_terminating_the_connection_lets_the_next_writer_in(engine):
    async with engine.session() as session:
        await add_one(session)
        waiter = asyncio.create_task(write_one(engine))
        await writers_waiting(engine, 1)
        (await driver_of(session)).terminate()
        await waiter
        await session.invalidate()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_forgotten_session_lets_the_next_writer_in(engine):
    with leaking_on_purpose():
        session = engine.session()
        await add_one(session)
        waiter = asyncio.create_task(write_one(engine))
        await writers_waiting(engine, 1)
        del session
        gc.collect()
        await waiter
    assert await plain(engine) == 1
    await assert_at_rest(engine)


@asynccontextmanager
async def dead_loop(engine, work, new_loop, *, closed=True, forgotten=False):
    """
    An event loop that ended in the middle of its work, without a word.

    Its thread lives on until the block ends, and then collects what it left.
    """
    dead, bury = threading.Event(), threading.Event()

    def live_and_die():
        loop = new_loop()
        done = loop.create_future()
        task = loop.create_task(work(engine, done))
        loop.run_until_complete(done)
        if closed:
            loop.close()
        if forgotten:
            del task, done, loop
            gc.collect()
        dead.set()
        bury.wait()
        task = done = loop = None
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=live_and_die)
        thread.start()
        await asyncio.to_thread(dead.wait)
        try:
            yield
        finally:
            bury.set()
            await asyncio.to_thread(thread.join)


async def hold(engine, done):
    async with engine.transaction() as session:
        await add_one(session)
        done.set_result(None)
        await asyncio.sleep(3600)


async def hold_in_a_session(engine, done):
    async with engine.session() as session:
        await add_one(session)
        done.set_result(None)
        await asyncio.sleep(3600)


@pytest.mark.parametrize("new_loop", NEW_LOOPS)
@pytest.mark.parametrize("work", [hold, hold_in_a_session])
async def test_a_writer_whose_loop_was_closed_lets_the_next_one_in(
    engine, work, new_loop
):
    async with dead_loop(engine, work, new_loop):
        await write_one(engine)
    assert await plain(engine) == 1
    await assert_at_rest(engine)


DIES_IN_A_STATEMENT = """
import asyncio, sys, threading
from sqlalchemy import text
from project_architect_db import DatabaseEngine

async def hold(engine, done):
    async with engine.transaction() as session:
        await session.execute(text("CREATE TABLE half_done (n INTEGER)"))
        asyncio.get_running_loop().call_later(0.05, done.set_result, None)
        await session.execute(text(sys.argv[2]))

kept = []

def live_and_die(engine):
    loop = asyncio.new_event_loop()
    done = loop.create_future()
    kept.append(loop.create_task(hold(engine, done)))
    loop.run_until_complete(done)
    loop.close()

async def main():
    engine = DatabaseEngine(sys.argv[1], close_timeout=0)
    thread = threading.Thread(target=live_and_die, args=(engine,))
    thread.start()
    await asyncio.to_thread(thread.join)
    async with engine.transaction() as session:
        await session.execute(text("CREATE TABLE done (n INTEGER)"))
    async with engine.session() as session:
        print(*await session.scalars(text("SELECT table_name FROM duckdb_tables()")))
    await engine.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_writer_whose_loop_was_closed_during_a_statement_lets_the_next_one_in(path):
    """
    In a process of its own: greenlets of a dead loop are never collected.
    """
    child = subprocess.run(
        [sys.executable, "-c", DIES_IN_A_STATEMENT, path, ENDLESS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.stdout == "done\n", child.stderr


@pytest.mark.parametrize("new_loop", NEW_LOOPS)
@pytest.mark.parametrize("work", [hold, hold_in_a_session])
async def test_a_writer_whose_loop_was_closed_and_forgotten_leaves_the_gate_open(
    engine, work, new_loop
):
    async with dead_loop(engine, work, new_loop, forgotten=True):
        await until(lambda: not engine.stats()["writer_active"])
    await write_one(engine)
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_writer_whose_loop_stopped_for_ever_lets_the_next_one_in(engine):
    """
    A loop that stopped may go on later; one that nobody can reach any more cannot.
    """
    async with dead_loop(
        engine, hold_for_ever, asyncio.new_event_loop, closed=False, forgotten=True
    ):
        await write_one(engine)
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def hold_for_ever(engine, done):
    async with engine.transaction() as session:
        await add_one(session)
        done.set_result(None)
        await asyncio.get_running_loop().create_future()


async def wait_for_the_gate(engine, done):
    asyncio.get_running_loop().call_later(0.05, done.set_result, None)
    await engine._database.gate.acquire(timeout=60)


@pytest.mark.parametrize("new_loop", NEW_LOOPS)
async def test_a_waiter_whose_loop_was_closed_is_passed_over(path, new_loop):
    async with DatabaseEngine(path, metadata=Model.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            await add_one(session)
            async with dead_loop(engine, wait_for_the_gate, new_loop):
                assert engine.stats()["writers_waiting"] == 1
                second = asyncio.create_task(write_one(engine))
                await writers_waiting(engine, 2)
                await session.rollback()
                await second
        await assert_at_rest(engine)


@pytest.mark.slow
async def test_a_waiter_whose_loop_is_closed_after_the_grant_is_passed_over(engine):
    """
    The gate was offered to it, but it never ran again to take it.
    """
    gate = engine._database.gate
    lease = await gate.acquire(timeout=1)
    loops = []

    def remembered():
        loops.append(asyncio.new_event_loop())
        return loops[0]

    async with dead_loop(engine, wait_for_the_gate, remembered, closed=False):
        lease.release()
        waiting = asyncio.create_task(write_one(engine))
        await writers_waiting(engine, 1)
        loops[0].close()
        await waiting
        await write_one(engine)
    assert await plain(engine) == 2
    await assert_at_rest(engine)


async def test_a_thread_whose_loop_was_cancelled_by_run_lets_the_next_one_in(engine):
    async def main():
        task = asyncio.create_task(
            hold(engine, asyncio.get_running_loop().create_future())
        )
        await until(lambda: engine.stats()["writer_active"])
        assert not task.done()

    await asyncio.to_thread(asyncio.run, main())
    await write_one(engine)
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_connection_that_still_rolls_back_is_not_taken_from_its_next_user(
    engine,
):
    """
    Its loop is closed, but it went back to the pool in order before.
    """
    rollback = threading.Event()

    async def main():
        async with engine.transaction() as session:
            await add_one(session)
            driver = await driver_of(session)
            driver._worker.post(rollback.wait)
            await session.rollback()

    await asyncio.to_thread(asyncio.run, main())
    writing = asyncio.create_task(write_one(engine))
    await writers_waiting(engine, 1)
    rollback.set()
    await writing
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_forgotten_connection_ends_its_thread(path):
    """
    Without SQLAlchemy's pool to look after it.
    """
    engine = DatabaseEngine(path)
    before = set(threading.enumerate())
    driver = None
    async with engine.session() as session:
        await session.execute(text("SELECT 1"))
        driver = weakref.ref(await driver_of(session))
        assert set(threading.enumerate()) - before
    with leaking_on_purpose():
        del engine, session
        gc.collect()
    await until(lambda: driver() is None)
    await until(lambda: not (set(threading.enumerate()) - before))
