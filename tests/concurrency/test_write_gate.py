"""
Writers wait for each other: in order, not for ever, and never for themselves.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import UTC, datetime

import pytest
from concurrency_support import (
    ENDLESS,
    PATIENCE,
    Counter,
    Note,
    add_one,
    assert_at_rest,
    cancelled,
    driver_of,
    plain,
    until,
    writers_waiting,
)
from greenlet import greenlet
from sqlalchemy import select, text

from project_architect_db import (
    DatabaseEngine,
    NestedTransactionError,
    TransactionAbortedError,
    WriteTimeoutError,
)
from project_architect_db.dialect import write_gate
from project_architect_db.dialect.write_gate import WriteGate, caller


@pytest.fixture
async def hasty(engine):
    """
    The same database through an engine that does not wait long for writers.
    """
    async with DatabaseEngine(
        engine.settings.model_copy(update={"write_timeout": 0.05})
    ) as hasty:
        yield hasty


def this_line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


# --- taking it ------------------------------------------------------------------


async def test_a_transaction_takes_the_gate_at_its_first_statement_even_a_select(
    engine,
):
    async with engine.transaction() as session:
        assert not engine.stats()["writer_active"]
        await session.scalar(select(Counter.plain))
        assert engine.stats()["writer_active"]
    await assert_at_rest(engine)


async def test_a_transaction_without_statements_takes_nothing(engine):
    commits = engine.stats()["commits"]
    async with engine.transaction():
        pass
    assert engine.stats()["commits"] == commits
    await assert_at_rest(engine)


async def test_what_a_waiting_transaction_reads_is_the_latest_state(engine):
    async def read_and_write():
        async with engine.transaction() as session:
            counter = await session.get_one(Counter, 1)
            counter.plain += 1

    async with engine.transaction() as session:
        await add_one(session)
        waiter = asyncio.create_task(read_and_write())
        await writers_waiting(engine, 1)
    await waiter
    assert await plain(engine) == 2


async def test_writers_get_in_in_the_order_they_came(engine):
    order = []

    async def write(number):
        async with engine.transaction() as session:
            await add_one(session)
            order.append(number)

    async with engine.transaction() as session:
        await add_one(session)
        tasks = []
        for number in range(10):
            tasks.append(asyncio.create_task(write(number)))
            await writers_waiting(engine, number + 1)
    await asyncio.gather(*tasks)
    assert order == list(range(10))
    assert await plain(engine) == 11


async def test_a_newcomer_does_not_overtake_those_who_wait(engine):
    order = []

    async def write(name):
        async with engine.transaction() as session:
            await add_one(session)
            order.append(name)

    async with engine.transaction() as session:
        await add_one(session)
        waiter = asyncio.create_task(write("waiter"))
        await writers_waiting(engine, 1)
    await write("newcomer")  # the gate was passed on before this line ran
    await waiter
    assert order == ["waiter", "newcomer"]


# --- waiting --------------------------------------------------------------------


async def test_waiting_writers_hold_no_connection(engine):
    async def write():
        async with engine.transaction() as session:
            await add_one(session)

    async with engine.transaction() as session:
        await add_one(session)
        tasks = [asyncio.create_task(write()) for _ in range(20)]
        await writers_waiting(engine, 20)
        assert engine.stats()["connections_in_use"] == 1
        assert await plain(engine) == 0
    await asyncio.gather(*tasks)
    assert await plain(engine) == 21


async def test_a_writer_finds_a_connection_while_readers_occupy_the_whole_pool(path):
    async with DatabaseEngine(path, pool_size=1, max_overflow=1) as engine:
        async with engine.session() as first, engine.session() as second:
            await first.execute(text("SELECT 1"))
            await second.execute(text("SELECT 1"))
            assert engine.stats()["connections_in_use"] == 2
            async with engine.transaction() as session:
                await session.execute(text("CREATE TABLE t (n INTEGER)"))
        await assert_at_rest(engine)


async def test_readers_never_wait_for_the_gate(engine):
    async with engine.transaction() as session:
        await add_one(session)
        for _ in range(50):
            assert await plain(engine) == 0
    assert await plain(engine) == 1


async def test_a_session_inside_a_transaction_sees_committed_data_only(engine):
    async with engine.transaction() as session:
        await add_one(session)
        async with engine.session() as inner:
            assert await inner.scalar(select(Counter.plain)) == 0
    assert await plain(engine) == 1


async def test_a_timeout_names_the_holder_since_when_and_where(engine, hasty):
    before = datetime.now(UTC)
    asyncio.current_task().set_name("the-holder")
    async with engine.transaction() as session:
        line = this_line() - 1
        await add_one(session)

        async def write():
            async with hasty.transaction() as session:
                await add_one(session)

        with pytest.raises(WriteTimeoutError) as caught:
            await asyncio.create_task(write())
    error = caught.value
    assert error.holder == "the-holder"
    assert error.waited >= 0.05
    assert before <= error.held_since <= datetime.now(UTC)
    assert error.opened_at.startswith(f"{__file__}:{line} in ")
    assert "the-holder" in str(error)
    assert error.opened_at in str(error)
    await assert_at_rest(engine)


async def test_a_timeout_names_the_place_where_a_session_was_opened(engine, hasty):
    async with engine.session() as session:
        line = this_line() - 1
        await add_one(session)
        with pytest.raises(WriteTimeoutError) as caught:
            await asyncio.create_task(write_one(hasty))
        await session.rollback()
    assert caught.value.opened_at.startswith(f"{__file__}:{line} in ")


async def write_one(engine):
    async with engine.transaction() as session:
        await add_one(session)


async def test_a_child_task_waits_and_its_timeout_names_the_ancestor(engine, hasty):
    async with engine.transaction() as session:
        await add_one(session)
        with pytest.raises(WriteTimeoutError, match="which started this task"):
            await asyncio.create_task(write_one(hasty))
    await assert_at_rest(engine)


async def test_the_timeout_of_a_stranger_does_not_speak_of_ancestors(engine, hasty):
    held, finish = asyncio.Event(), asyncio.Event()

    async def hold():
        async with engine.transaction() as session:
            await add_one(session)
            held.set()
            await finish.wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    with pytest.raises(WriteTimeoutError) as caught:
        await write_one(hasty)
    assert "started this task" not in str(caught.value)
    finish.set()
    await holder
    await write_one(hasty)


async def test_a_timeout_between_two_holders_names_nobody():
    """
    The last one has gone, the next one has been chosen and not yet begun.
    """
    gate = WriteGate()
    assert gate._token.take_nowait()
    with pytest.raises(WriteTimeoutError, match="too many writers wait") as caught:
        await gate.acquire(timeout=0)
    assert caught.value.holder == "nobody"


async def test_giving_the_gate_up_twice_lets_one_writer_in():
    gate = WriteGate()
    lease = await asyncio.create_task(gate.acquire(timeout=PATIENCE))
    lease.release()
    lease.release()
    await asyncio.create_task(gate.acquire(timeout=PATIENCE))
    with pytest.raises(WriteTimeoutError):
        await gate.acquire(timeout=0)


def test_where_no_line_of_the_user_led_here_the_place_is_unknown():
    assert greenlet(caller).switch() == "an unknown place"


async def test_a_timed_out_session_cannot_commit_what_it_never_wrote(engine, hasty):
    async with engine.transaction() as holder:
        await add_one(holder)

        async def write():
            async with hasty.session() as session:
                with pytest.raises(WriteTimeoutError):
                    await add_one(session)
                with pytest.raises(TransactionAbortedError) as caught:
                    await session.commit()
                assert isinstance(caught.value.original, WriteTimeoutError)

        await asyncio.create_task(write())
    await assert_at_rest(engine)
    assert await plain(engine) == 1


async def test_a_timed_out_transaction_fails_even_if_the_timeout_is_swallowed(
    engine, hasty
):
    async with engine.transaction() as holder:
        await add_one(holder)

        async def write():
            with pytest.raises(WriteTimeoutError):
                async with hasty.transaction() as session:
                    with pytest.raises(WriteTimeoutError):
                        await add_one(session)
                    await add_one(session)

        await asyncio.create_task(write())
    await assert_at_rest(engine)


async def test_whoever_writes_for_long_is_warned_about_once(
    engine, caplog, monkeypatch
):
    monkeypatch.setattr(write_gate, "LONG_HOLD", 0.02)
    with caplog.at_level(logging.WARNING, write_gate.__name__):
        async with engine.transaction() as session:
            line = this_line() - 1
            await add_one(session)
            waiter = asyncio.create_task(write_one(engine))
            await until(lambda: caplog.records)
            await asyncio.sleep(0.05)
        await waiter
    about_us = [r.getMessage() for r in caplog.records if f":{line} in" in r.message]
    assert len(about_us) == 1
    assert "all other writers wait" in about_us[0]


# --- cancelled ------------------------------------------------------------------


async def test_a_cancelled_waiter_leaves_the_queue(engine):
    async with engine.transaction() as session:
        await add_one(session)
        first, second, third = (
            asyncio.create_task(write_one(engine)) for _ in range(3)
        )
        await writers_waiting(engine, 3)
        await cancelled(second)
        await writers_waiting(engine, 2)
    await asyncio.gather(first, third)
    assert await plain(engine) == 3
    await assert_at_rest(engine)


async def test_a_waiter_cancelled_just_when_it_is_granted_passes_the_gate_on(engine):
    gate = engine._database.gate
    lease = await gate.acquire(timeout=1)
    first = asyncio.create_task(write_one(engine))
    await writers_waiting(engine, 1)
    second = asyncio.create_task(write_one(engine))
    await writers_waiting(engine, 2)
    lease.release()
    first.cancel()  # granted, but it has not run since
    await second
    assert first.cancelled()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_waiter_cancelled_while_it_gets_its_connection_gives_both_back(engine):
    task = asyncio.create_task(write_one(engine))
    await until(lambda: engine.stats()["writer_active"])
    await cancelled(task)
    await assert_at_rest(engine)


# --- nesting --------------------------------------------------------------------


async def test_a_transaction_inside_a_transaction_raises_at_once(engine):
    async with engine.transaction() as session:
        line = this_line() - 1
        await add_one(session)
        with pytest.raises(NestedTransactionError) as caught:
            await write_one(engine)
        assert caught.value.opened_at.startswith(f"{__file__}:{line} in ")
        await add_one(session)
    assert await plain(engine) == 2
    await assert_at_rest(engine)


async def test_a_writing_session_inside_a_transaction_raises_at_once(engine):
    async with engine.transaction() as session:
        await add_one(session)
        async with engine.session() as inner:
            with pytest.raises(NestedTransactionError):
                await add_one(inner)
            with pytest.raises(TransactionAbortedError):
                await inner.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_a_transaction_inside_a_writing_session_raises_at_once(engine):
    async with engine.session() as session:
        await add_one(session)
        with pytest.raises(NestedTransactionError):
            await write_one(engine)
        await session.commit()
    assert await plain(engine) == 1


async def test_a_checkpoint_inside_a_transaction_raises_at_once(engine):
    async with engine.transaction() as session:
        await add_one(session)
        async with asyncio.timeout(10):
            with pytest.raises(NestedTransactionError):
                await engine.checkpoint()
    await assert_at_rest(engine)


async def test_right_after_a_rolled_back_transaction_the_task_may_write(engine):
    for _ in range(50):
        with pytest.raises(ZeroDivisionError):
            async with engine.transaction() as session:
                await add_one(session)
                raise ZeroDivisionError
        async with engine.transaction() as session:
            await add_one(session)
        async with engine.session() as session:
            await add_one(session)
            await session.rollback()
            await add_one(session)
            await session.commit()
    assert await plain(engine) == 100


async def test_right_after_a_failed_statement_the_task_may_write(engine):
    for _ in range(10):
        with pytest.raises(Exception, match="nowhere"):
            async with engine.transaction() as session:
                await session.execute(text("INSERT INTO nowhere VALUES (1)"))
        await write_one(engine)
    assert await plain(engine) == 10


async def test_right_after_an_invalidated_connection_the_task_may_write(engine):
    for _ in range(10):
        async with engine.session() as session:
            await add_one(session)
            await session.invalidate()
        await write_one(engine)
    assert await plain(engine) == 10
    await assert_at_rest(engine)


async def test_a_checkpoint_and_a_transaction_do_not_wait_for_each_other(engine):
    async with engine.transaction() as session:
        await add_one(session)
        checkpoint = asyncio.create_task(engine.checkpoint())
        await asyncio.sleep(0.01)
        writer = asyncio.create_task(write_one(engine))
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await asyncio.gather(checkpoint, writer)
    await assert_at_rest(engine)


async def test_new_objects_are_written_through_the_gate_too(engine):
    async def add(body):
        async with engine.session() as session:
            session.add(Note(body=body))
            await session.commit()

    async with engine.transaction() as session:
        await session.scalar(select(Counter.plain))
        tasks = []
        for n in range(5):
            tasks.append(asyncio.create_task(add(str(n))))
            await writers_waiting(engine, n + 1)
    await asyncio.gather(*tasks)
    async with engine.session() as session:
        bodies = (await session.scalars(select(Note.body).order_by(Note.id))).all()
    assert bodies == ["0", "1", "2", "3", "4"]


async def test_a_long_read_is_no_hindrance_to_writers(engine):
    async with engine.session() as reader:
        driver = await driver_of(reader)
        task = asyncio.create_task(reader.execute(text(ENDLESS)))
        await until(lambda: driver.statement)
        for _ in range(5):
            await write_one(engine)
        await cancelled(task)
    assert await plain(engine) == 5
