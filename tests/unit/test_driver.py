"""
The connection's side on the event loop, without SQLAlchemy on top.
"""

from __future__ import annotations

import asyncio
import threading

import duckdb
import pytest
from sqlalchemy.util.queue import Empty, Full

from project_architect_db import DatabaseEngine
from project_architect_db.dialect import driver as driver_module
from project_architect_db.dialect.connection_pool import ConnectionQueue
from project_architect_db.dialect.driver import DriverConnection
from project_architect_db.dialect.transaction import Request, Transaction
from project_architect_db.errors import ClosedError, SessionInUseError

ENDLESS = "SELECT count(*) FROM range(100000000) a, range(1000000) b"


@pytest.fixture
async def database():
    async with DatabaseEngine(":memory:", threads=2) as engine, engine.session():
        yield engine._database


@pytest.fixture
async def driver(database):
    driver = DriverConnection(database)
    await driver.open()
    yield driver
    await driver.close()


def run_on(coroutine):
    """
    Run it up to the next time it waits, and return what it waits for.
    """
    future = coroutine.send(None)
    future._asyncio_future_blocking = False  # as a task does
    return future


async def test_a_statement_answers(driver):
    answer = await driver.execute(Request("SELECT 42 AS n"))
    assert answer.rows == [(42,)]
    assert answer.description[0][0] == "n"


async def test_progress_of_nothing_is_none(driver):
    assert driver.progress is None


async def test_a_closed_connection_is_refused(database):
    driver = DriverConnection(database)
    await driver.open()
    await driver.close()
    assert driver.progress is None
    with pytest.raises(ClosedError, match="this connection is closed"):
        await driver.execute(Request("SELECT 1"))


async def test_a_connection_that_was_never_opened_is_refused_on_its_thread(database):
    with pytest.raises(ClosedError):
        Transaction(database).run(Request("SELECT 1"))


async def test_a_connection_that_fails_to_open_ends_its_thread(database, monkeypatch):
    driver = DriverConnection(database)

    def fail(config):
        raise duckdb.IOException("no")

    monkeypatch.setattr(database, "cursor", fail)
    with pytest.raises(duckdb.IOException):
        await driver.open()
    driver._worker.join(20)
    assert not driver._worker._thread.is_alive()


async def test_a_connection_without_a_thread_is_no_connection(database, monkeypatch):
    def fail(name):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(driver_module, "Worker", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        DriverConnection(database)


async def test_a_statement_that_is_dropped_ends_its_connection(database):
    """
    So it goes with a task whose event loop has died.
    """
    driver = DriverConnection(database)
    await driver.open()
    statement = driver.execute(Request(ENDLESS))
    future = run_on(statement)
    statement.close()
    future.cancel()
    await asyncio.to_thread(driver._worker.join, 20)
    assert not driver._worker._thread.is_alive()


async def test_a_write_that_is_dropped_while_it_waits_leaves_the_queue(
    database, driver
):
    lease = await asyncio.create_task(database.gate.acquire(timeout=20))
    writing = driver.execute(Request("CREATE TABLE t (n INT)"))
    await asyncio.wait((run_on(writing),), timeout=20)
    run_on(writing)
    assert database.gate.waiting == 1
    writing.close()
    assert database.gate.waiting == 0
    lease.release()
    await driver.execute(Request("CREATE TABLE t (n INT)"))
    await driver.commit()


async def test_a_commit_that_is_cancelled_is_done_and_then_raised(database, driver):
    await driver.execute(Request("CREATE TABLE t (n INT)"))
    free = threading.Event()
    driver._worker.post(lambda: free.wait(20))
    committing = asyncio.create_task(driver.commit())
    await asyncio.sleep(0)
    committing.cancel()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert database.commits.sequence == 1
    assert (await driver.execute(Request("SELECT count(*) FROM t"))).rows == [(0,)]


async def test_a_statement_cancelled_before_it_is_understood_has_lost_no_write(driver):
    """
    Whether it would have written decides; nonsense would not.
    """
    free = threading.Event()
    driver._worker.post(lambda: free.wait(20))
    task = asyncio.create_task(driver.execute(Request("NONSENSE")))
    await asyncio.sleep(0)
    task.cancel()
    free.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await driver.commit()


@pytest.mark.parametrize("how", ["it ends", "it fails", "it is cancelled"])
async def test_a_statement_whose_transaction_another_task_ended_says_so(driver, how):
    free = threading.Event()
    driver._worker.post(lambda: free.wait(20))
    sql = "SELECT error('no')" if how == "it fails" else "SELECT 1"
    task = asyncio.create_task(driver.execute(Request(sql)))
    await asyncio.sleep(0)

    driver.rollback()
    if how == "it is cancelled":
        task.cancel()
    free.set()

    told = asyncio.CancelledError if how == "it is cancelled" else SessionInUseError
    with pytest.raises(told):
        await task
    assert (await driver.execute(Request("SELECT 42"))).rows == [(42,)]


async def test_a_statement_does_not_run_beside_another(driver):
    free = threading.Event()
    driver._worker.post(lambda: free.wait(20))
    task = asyncio.create_task(driver.execute(Request("SELECT 42")))
    await asyncio.sleep(0)
    with pytest.raises(SessionInUseError):
        await driver.execute(Request("SELECT 43"))
    with pytest.raises(SessionInUseError):
        await driver.commit()
    free.set()
    assert (await task).rows == [(42,)]


async def test_a_rollback_that_comes_after_commit_has_begun_is_too_late(
    database, driver
):
    await driver.execute(Request("CREATE TABLE t (n INT)"))
    free = threading.Event()
    driver._worker.post(lambda: free.wait(20))
    committing = asyncio.create_task(driver.commit())
    await asyncio.sleep(0)
    driver.rollback()
    free.set()
    await committing
    assert database.commits.sequence == 1
    assert (await driver.execute(Request("SELECT count(*) FROM t"))).rows == [(0,)]


async def test_rolling_back_nothing_is_nothing(driver):
    queued = driver._worker._queue.qsize()
    driver.rollback()
    assert driver._worker._queue.qsize() == queued


def test_the_queue_of_the_pool_is_one_of_sqlalchemy():
    queue = ConnectionQueue(maxsize=1)
    assert queue.empty()
    queue.put("connection")
    assert not queue.empty()
    assert queue.full()
    with pytest.raises(Full):
        queue.put("another one")
    assert queue.get(block=False) == "connection"
    with pytest.raises(Empty):
        queue.get_nowait()
