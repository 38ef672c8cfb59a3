"""
A session belongs to one task at a time; whoever shares it is told, and harms nobody.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from concurrency_support import (
    ENDLESS,
    ENDLESS_STREAM,
    PATIENCE,
    a_query_runs,
    add_one,
    assert_at_rest,
    plain,
)
from sqlalchemy import text

from project_architect_db.errors import (
    SessionInUseError,
    StreamEndedError,
    TransactionAbortedError,
)

LONG = text("SELECT count(*) FROM range(10000) a, range(10000) b WHERE a < b")
"""A query of a tenth of a second: long enough to get in its way."""
FOUND = 49_995_000


async def execute(session):
    await session.execute(text("SELECT 1"))


async def stream(session):
    await session.stream(text("SELECT 1"))


async def commit(session):
    await session.commit()


async def roll_back(session):
    await session.rollback()


async def close(session):
    await session.close()


@asynccontextmanager
async def a_session(engine):
    async with engine.session() as session:
        yield session


@asynccontextmanager
async def a_connection(engine):
    async with engine.engine.connect() as connection:
        yield connection


both = pytest.mark.parametrize("open_", [a_session, a_connection])


@pytest.mark.slow
@both
@pytest.mark.parametrize("intrude", [execute, stream])
async def test_while_a_statement_runs_a_second_one_is_refused(engine, open_, intrude):
    async with open_(engine) as session:
        await add_one(session)
        task = asyncio.create_task(session.scalar(LONG))
        await a_query_runs(engine)

        with pytest.raises(SessionInUseError, match="a session of its own"):
            await intrude(session)

        assert await task == FOUND
        await session.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


@both
async def test_while_a_statement_runs_a_commit_is_refused_for_good(engine, open_):
    """
    SQLAlchemy takes no second COMMIT after one that failed; nobody is told otherwise.
    """
    async with open_(engine) as session:
        await add_one(session)
        task = asyncio.create_task(session.scalar(LONG))
        await a_query_runs(engine)

        with pytest.raises(SessionInUseError, match="a session of its own"):
            await session.commit()

        assert await task == FOUND
        if open_ is a_session:
            with pytest.raises(TransactionAbortedError, match="a commit failed"):
                await session.commit()
    assert await plain(engine) == 0
    await assert_at_rest(engine)


@both
@pytest.mark.parametrize("intrude", [roll_back, close])
async def test_while_a_statement_runs_the_end_of_its_transaction_stops_it(
    engine, open_, intrude
):
    async with open_(engine) as session:
        await add_one(session)
        task = asyncio.create_task(session.execute(text(ENDLESS)))
        await a_query_runs(engine)

        await intrude(session)

        with pytest.raises(SessionInUseError, match="another task ended the transac"):
            await asyncio.wait_for(task, PATIENCE)
    assert await plain(engine) == 0
    await assert_at_rest(engine)


@pytest.mark.parametrize("end", [commit, roll_back])
async def test_a_stream_ends_with_its_transaction(engine, end):
    async with engine.engine.connect() as connection:
        result = await connection.stream(text(ENDLESS_STREAM))
        await result.fetchmany(10)
        await end(connection)

        with pytest.raises(StreamEndedError, match="its transaction has ended"):
            await result.fetchmany(5_000)

        await result.close()
        await add_one(connection)
        await connection.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)
