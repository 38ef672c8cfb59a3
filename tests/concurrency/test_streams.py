"""
A stream is read while other statements run, and one that is not read holds up nobody.

DuckDB goes on filling an unread one; and what comes next may wait for that, if not
told: in one of twenty cases, so each is tried ten times.
"""

from __future__ import annotations

import asyncio

import pytest
from concurrency_support import (
    ENDLESS_STREAM,
    add_one,
    assert_at_rest,
    driver_of,
    plain,
    until,
)
from sqlalchemy import text

from project_architect_db.errors import (
    InvalidValueError,
    StreamEndedError,
    UnsupportedOperationError,
)

TRIES = 10


async def open_stream(session):
    result = await session.stream(text(ENDLESS_STREAM))
    assert len(await result.fetchmany(5_000)) == 5_000  # all that come soon
    return result


async def commit(session, _):
    await session.commit()


async def roll_back(session, _):
    await session.rollback()


async def close_the_session(session, _):
    await session.close()


async def close_the_stream_and_go_on(session, result):
    await result.close()
    assert await session.scalar(text("SELECT 42")) == 42


async def close_the_stream_and_write(session, result):
    await result.close()
    await add_one(session, number=2)


async def give_the_connection_up(session, _):
    await (await session.connection()).invalidate()


@pytest.mark.parametrize(
    "end",
    [
        commit,
        roll_back,
        close_the_session,
        close_the_stream_and_go_on,
        close_the_stream_and_write,
        give_the_connection_up,
    ],
)
@pytest.mark.parametrize(
    "wrote",
    [
        pytest.param(False, id="read", marks=pytest.mark.slow),
        pytest.param(True, id="wrote"),
    ],
)
async def test_an_unread_stream_ends_at_once(engine, end, wrote):
    for _ in range(TRIES):
        session = engine.session()
        if wrote:
            await add_one(session)
        result = await open_stream(session)

        async with asyncio.timeout(5):
            await end(session, result)
            await session.close()

    assert await plain(engine) == (TRIES if wrote and end is commit else 0)
    await assert_at_rest(engine)


async def test_an_unread_stream_in_autocommit_ends_at_once(engine):
    async with engine.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        for _ in range(TRIES):
            result = await open_stream(connection)

            async with asyncio.timeout(5):
                await result.close()
                await add_one(connection)

    assert await plain(engine) == TRIES
    await assert_at_rest(engine)


# --- other statements meanwhile -------------------------------------------------

ROWS = 20_000
NUMBERS = text(f"SELECT range AS n, repeat('x', 500) FROM range({ROWS})")
"""More than is set aside in memory."""


async def read(session, number):
    assert await session.scalar(text("SELECT 42")) == 42


async def write(session, number):
    await add_one(session)


async def stream_something_else(session, number):
    other = await session.stream(text("SELECT range FROM range(5000)"))
    assert [row[0] for row in await other.fetchmany(3)] == [0, 1, 2]
    if number % 2:
        await other.close()


async def refuse_a_savepoint(session, number):
    with pytest.raises(UnsupportedOperationError):
        await session.execute(text("BEGIN"))


@pytest.mark.parametrize(
    "work", [read, write, stream_something_else, refuse_a_savepoint]
)
@pytest.mark.parametrize("road", ["session", "transaction"])
async def test_other_statements_may_run_while_a_stream_is_read(engine, work, road):
    async with getattr(engine, road)() as session:
        numbers = []
        result = await session.stream(NUMBERS)
        async for rows in result.partitions(1000):
            numbers += [row.n for row in rows]
            if len(numbers) in (1000, 2000, ROWS):
                await work(session, len(numbers) // 1000)
        if road == "session":
            await session.commit()

    assert numbers == list(range(ROWS))
    assert await plain(engine) == (3 if work is write else 0)
    await assert_at_rest(engine)


async def test_several_streams_may_be_read_in_turn(engine):
    async with engine.session() as session:
        streams = [await session.stream(NUMBERS) for _ in range(3)]
        found = [[], [], []]
        for _ in range(ROWS // 1000):
            for numbers, stream in zip(found, streams, strict=True):
                numbers += [row.n for row in await stream.fetchmany(1000)]
        assert found == [list(range(ROWS))] * 3
    await assert_at_rest(engine)


async def test_what_was_set_aside_is_deleted(engine):
    async with engine.session() as session:
        transaction = (await driver_of(session))._transaction
        streams = [await session.stream(NUMBERS) for _ in range(3)]
        await read(session, 0)
        kept = [stream._file for stream in transaction._streams]
        assert len(kept) == 3
        assert all(file._rolled and not file.closed for file in kept)

        assert len(await streams[0].all()) == ROWS  # read to its end
        await streams[1].close()
        await read(session, 0)
        assert [file.closed for file in kept] == [True, True, False]
    await until(lambda: kept[2].closed)
    await assert_at_rest(engine)


@pytest.mark.parametrize("work", [read, write])
async def test_an_error_in_the_rest_of_a_stream_meets_who_made_it_come(engine, work):
    sql = "SELECT if(i < 2_999_999, '1', 'x' || i)::INT FROM range(3_000_000) t(i)"
    async with engine.session() as session:
        result = await session.stream(text(sql))
        with pytest.raises(InvalidValueError):
            await work(session, 0)
        with pytest.raises(StreamEndedError):
            await result.fetchmany(5_000)
        await read(session, 0)
    await assert_at_rest(engine)


@pytest.mark.parametrize("work", [read, write])
async def test_setting_a_stream_aside_can_be_stopped(engine, work):
    async with engine.session() as session:
        await session.stream(text(ENDLESS_STREAM))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await work(session, 0)
        await session.rollback()
        await read(session, 0)
    await assert_at_rest(engine)
