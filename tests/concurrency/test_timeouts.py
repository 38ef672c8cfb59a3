"""
A statement that takes longer than allowed is stopped, alone.
"""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from concurrency_support import (
    ENDLESS,
    ENDLESS_STREAM,
    Note,
    add_one,
    assert_at_rest,
    plain,
)
from sqlalchemy import insert, text

from project_architect_db import DatabaseEngine
from project_architect_db.errors import InvalidValueError, QueryTimeoutError

SHORT = {"timeout": 0.05}
NEVER = {"timeout": None}
SLOW = "SELECT count(*) FROM range(12000) a, range(12000) b WHERE a < b"
"""Some tenths of a second: more than SHORT, and it ends."""
FOUND = 71_994_000


async def execute(session, options):
    await session.execute(text(ENDLESS), execution_options=options)


async def write(session, options):
    await session.execute(
        text(f"INSERT INTO notes (body) {ENDLESS}"), execution_options=options
    )


async def first_rows(session, options):
    """
    The whole of it is sorted before the first row comes.
    """
    sql = text("SELECT * FROM range(10000000000) ORDER BY hash(range)")
    async for _row in await session.stream(sql, execution_options=options):
        pass


async def rows(session, options):
    result = await session.stream(text(ENDLESS_STREAM), execution_options=options)
    async for _row in result:
        pass


@pytest.fixture
async def hasty(path):
    """
    An engine on which statements may take little time.
    """
    async with DatabaseEngine(path, query_timeout=SHORT["timeout"]) as engine:
        yield engine


@pytest.mark.parametrize("run", [execute, write, first_rows, rows])
async def test_a_statement_has_a_limit_of_its_own(engine, run):
    async with engine.session() as session:
        with pytest.raises(QueryTimeoutError, match=r"stopped after 0\.05 s") as caught:
            await run(session, SHORT)
        await session.rollback()
        assert await session.scalar(text("SELECT 42")) == 42
    assert caught.value.seconds == 0.05
    assert caught.value.statement
    assert caught.value.__cause__ is not None
    await assert_at_rest(engine)


@pytest.mark.parametrize("run", [execute, first_rows, rows])
async def test_all_statements_have_the_limit_of_the_engine(hasty, run):
    async with hasty.session() as session:
        with pytest.raises(QueryTimeoutError, match="query_timeout"):
            await run(session, {})
        answer = await session.scalar(text("SELECT 42"), execution_options=NEVER)
        assert answer == 42


@pytest.mark.parametrize(
    "options",
    [
        NEVER,
        pytest.param({"timeout": 25}, marks=pytest.mark.slow),
        pytest.param({"timeout": "25"}, marks=pytest.mark.slow),
    ],
)
async def test_a_statement_may_have_more_time_than_the_engine_gives(hasty, options):
    async with hasty.session() as session:
        found = await session.scalar(text(SLOW), execution_options=options)
        assert found == FOUND
        rows = await session.stream(
            text(f"{SLOW} UNION ALL {SLOW}"), execution_options=options
        )
        assert [row[0] async for row in rows] == [FOUND, FOUND]


async def test_a_limit_may_belong_to_a_connection_or_a_statement(engine):
    async with engine.engine.connect() as connection:
        statement = text(ENDLESS).execution_options(**SHORT)
        with pytest.raises(QueryTimeoutError):
            await connection.execute(statement)
        await connection.execution_options(**SHORT)
        with pytest.raises(QueryTimeoutError):
            await connection.execute(text(ENDLESS))
        options = {"timeout": 25}
        assert await connection.scalar(text(SLOW), execution_options=options) == FOUND


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "soon", [1]])
async def test_a_limit_that_is_none_is_refused(engine, seconds):
    async with engine.session() as session:
        with pytest.raises(InvalidValueError, match="expected a number of seconds"):
            await session.scalar(
                text("SELECT 1"), execution_options={"timeout": seconds}
            )
        assert await session.scalar(text("SELECT 42")) == 42
    await assert_at_rest(engine)


async def test_the_limit_holds_for_the_statement_and_not_for_its_wait(engine):
    """
    Waiting for the gate has a limit of its own.
    """
    async with engine.session() as session, engine.transaction() as writer:
        await add_one(writer)
        one = insert(Note).values(body="x")
        task = asyncio.create_task(session.execute(one, execution_options=SHORT))
        await asyncio.sleep(SHORT["timeout"] * 2)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_no_late_interrupt_hits_the_statements_that_follow(engine):
    """
    Limits at about the time that the statement takes: both outcomes, in turn.
    """
    sql = text("SELECT sum(range) FROM range(1000000)")
    following = text("SELECT count(*) FROM range(100000) WHERE range % 2 = 0")
    async with engine.session() as session:
        started = time.perf_counter()
        await session.execute(sql)
        about = time.perf_counter() - started
        ended = stopped = 0
        while ended < 20 or stopped < 20:
            try:
                await session.execute(sql, execution_options={"timeout": about})
                ended, about = ended + 1, about * 0.8
            except QueryTimeoutError:
                stopped, about = stopped + 1, about * 1.2
            assert await session.scalar(following) == 50_000
    await assert_at_rest(engine)


async def test_a_statement_that_fails_before_its_time_is_up_keeps_its_error(engine):
    async with engine.session() as session:
        with pytest.raises(InvalidValueError):
            await session.execute(
                text("SELECT CAST('x' AS INT)"), execution_options=SHORT
            )
    await assert_at_rest(engine)
