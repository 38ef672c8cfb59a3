"""
A stream that is not read to its end keeps nobody waiting.

DuckDB goes on filling it; and what comes next may wait for that, if not told: in
one of twenty cases, so each is tried ten times.
"""

from __future__ import annotations

import asyncio

import pytest
from concurrency_support import ENDLESS_STREAM, add_one, assert_at_rest, plain
from sqlalchemy import text

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
@pytest.mark.parametrize("wrote", [False, True], ids=["read", "wrote"])
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
