"""
A cancelled task stops its query in the database, and leaves everything usable.
"""

from __future__ import annotations

import asyncio

import pytest
from concurrency_support import (
    ENDLESS,
    ENDLESS_STREAM,
    PATIENCE,
    Model,
    Note,
    a_query_runs,
    add_one,
    assert_at_rest,
    cancelled,
    driver_of,
    plain,
    until,
    writers_waiting,
)
from sqlalchemy import func, insert, select, text

from project_architect_db import DatabaseEngine
from project_architect_db.errors import TransactionAbortedError

MANY = 50_000
"""Rows that take a while to write."""


async def notes(engine):
    async with engine.session() as session:
        return await session.scalar(select(func.count(Note.id)))


async def execute(engine):
    async with engine.session() as session:
        await session.execute(text(ENDLESS))


async def stream(engine):
    async with engine.session() as session:
        async for _row in await session.stream(text(ENDLESS_STREAM)):
            pass


async def execute_on_a_connection(engine):
    async with engine.engine.connect() as connection:
        await connection.execute(text(ENDLESS))


async def write(engine):
    async with engine.transaction() as session:
        await add_one(session)
        await session.execute(text(f"INSERT INTO notes (body) {ENDLESS}"))


async def write_in_a_session(engine):
    async with engine.session() as session:
        await add_one(session)
        await session.execute(text(f"INSERT INTO notes (body) {ENDLESS}"))
        await session.commit()


async def write_in_autocommit(engine):
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(f"INSERT INTO notes (body) {ENDLESS}"))


async def run_sync(engine):
    async with engine.session() as session:
        await session.run_sync(lambda sync: sync.execute(text(ENDLESS)))


ENDLESS_WORK = [
    execute, stream, execute_on_a_connection, write, write_in_a_session,
    write_in_autocommit, run_sync,
]  # fmt: skip


@pytest.mark.parametrize("work", ENDLESS_WORK)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_query_stops_in_the_database(engine, work, times):
    task = asyncio.create_task(work(engine))
    await a_query_runs(engine)

    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await cancelled(task)

    assert await plain(engine) == 0
    assert await notes(engine) == 0
    await assert_at_rest(engine)


@pytest.mark.parametrize("work", ENDLESS_WORK)
async def test_a_task_may_be_cancelled_at_each_step(engine, work):
    """
    Before it begins, after one turn of the event loop, after two, …
    """
    for turns in range(12):
        task = asyncio.create_task(work(engine))
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancelled(task)
    assert await plain(engine) == 0
    await assert_at_rest(engine)


async def test_the_connection_stays_the_same(engine):
    async with engine.session() as session:
        before = await driver_of(session)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await session.execute(text(ENDLESS))
            assert await session.scalar(text("SELECT 42")) == 42
        assert await driver_of(session) is before
    await assert_at_rest(engine)


async def test_a_transaction_that_fails_is_over_even_if_nobody_waits_for_it(engine):
    """
    The rollback is the connection's work: a cancelled task does not leave it half done.
    """
    async with engine.session() as session:
        await add_one(session)
        driver = await driver_of(session)
        task = asyncio.create_task(driver.fail(ValueError("it may not be")))
        await asyncio.sleep(0)
        await cancelled(task)
        with pytest.raises(TransactionAbortedError, match="it may not be"):
            await session.commit()
    assert await plain(engine) == 0
    await assert_at_rest(engine)


# --- rows together --------------------------------------------------------------


async def insert_many(session):
    await session.execute(insert(Note), [{"body": f"{n}"} for n in range(MANY)])


async def insert_many_returning(session):
    rows = [{"body": f"{n}"} for n in range(MANY)]
    await session.execute(insert(Note).returning(Note.id), rows)


async def add_all(session):
    session.add_all(Note(body=f"{n}") for n in range(MANY // 10))
    await session.flush()


@pytest.mark.parametrize("work", [insert_many, insert_many_returning, add_all])
@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_many_rows_are_written_together_or_not_at_all(engine, work, seconds):
    async def transaction():
        async with engine.transaction() as session:
            await work(session)

    task = asyncio.create_task(transaction())
    await until(lambda: engine.stats()["writer_active"])
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait((task,), timeout=PATIENCE)

    found = await notes(engine)
    assert found in (0, MANY, MANY // 10)
    assert task.cancelled() or found
    await assert_at_rest(engine)


# --- while it waits -------------------------------------------------------------


async def test_a_reader_that_waits_for_a_connection(path):
    async with DatabaseEngine(
        path, metadata=Model.metadata, pool_size=1, max_overflow=0
    ) as engine:
        await engine.create_all()
        async with engine.session() as session:
            await session.execute(text("SELECT 1"))
            task = asyncio.create_task(execute(engine))
            await until(lambda: engine.stats()["connections_waiting"])
            await cancelled(task)
            assert engine.stats()["connections_waiting"] == 0
        await assert_at_rest(engine)


async def test_a_writer_that_waits_for_the_gate(engine):
    async with engine.transaction() as session:
        await add_one(session)
        tasks = [asyncio.create_task(w(engine)) for w in (write, write_in_a_session)]
        await writers_waiting(engine, 2)
        for task in tasks:
            await cancelled(task)
        assert engine.stats()["writers_waiting"] == 0
    assert await plain(engine) == 1
    await assert_at_rest(engine)


@pytest.mark.parametrize("turns", range(6))
async def test_an_engine_that_opens(path, turns):
    engine = DatabaseEngine(path, metadata=Model.metadata)
    task = asyncio.create_task(engine.open())
    for _ in range(turns):
        await asyncio.sleep(0)
    await cancelled(task)

    async with engine:
        await engine.create_all()
        await assert_at_rest(engine)


# --- the ways to cancel ---------------------------------------------------------


async def test_a_timeout_of_asyncio_leaves_its_task_as_it_was(engine):
    task = asyncio.current_task()
    for work in ENDLESS_WORK:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await work(engine)
        assert task.cancelling() == 0
        await asyncio.sleep(0)
    await assert_at_rest(engine)


async def test_an_outer_timeout_passes_through_an_inner_one(engine):
    inner = False
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            try:
                async with asyncio.timeout(PATIENCE):
                    await execute(engine)
            except TimeoutError:
                inner = True
    assert not inner
    await assert_at_rest(engine)


async def test_wait_for(engine):
    for work in ENDLESS_WORK:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(engine), 0.05)
    await assert_at_rest(engine)


async def test_a_task_group_stops_the_others_when_one_fails(engine):
    async def fail():
        await a_query_runs(engine)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            for work in ENDLESS_WORK:
                group.create_task(work(engine))
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    await assert_at_rest(engine)


async def test_a_shielded_query_goes_on(engine):
    sql = text("SELECT count(*) FROM range(10000) a, range(10000) b WHERE a < b")
    async with engine.session() as session:
        inner = asyncio.create_task(session.scalar(sql))

        async def wait():
            await asyncio.shield(inner)

        outer = asyncio.create_task(wait())
        await a_query_runs(engine)
        await cancelled(outer)
        assert await inner == 49_995_000
    await assert_at_rest(engine)
