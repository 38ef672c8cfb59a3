"""
What an error has ended is never committed as if it had succeeded.

DuckDB rolls a transaction back on an error and answers OK to its COMMIT
(duckdb-facts §0.C).
"""

from __future__ import annotations

import asyncio

import pytest
from concurrency_support import (
    ENDLESS,
    ENDLESS_STREAM,
    Counter,
    Note,
    add_one,
    assert_at_rest,
    plain,
)
from sqlalchemy import func, insert, select, text

from project_architect_db.errors import (
    DuplicateError,
    InvalidStatementError,
    InvalidValueError,
    QueryTimeoutError,
    TransactionAbortedError,
    WriteConflictError,
)

LATE_ERROR = text(
    "SELECT CASE WHEN range < 50000 THEN 1 ELSE CAST('x' || range AS INT) END "
    "FROM range(100000)"
)
"""Rows enough that they arrive before the error does."""


async def a_statement_is_refused(session):
    await session.execute(text("SELECT nothing"))


async def a_value_is_refused(session):
    await session.execute(text("SELECT CAST('x' AS INT)"))


async def a_stream_breaks_off(session):
    async for _row in await session.stream(LATE_ERROR):
        pass


async def a_statement_takes_too_long(session):
    await session.execute(text(ENDLESS), execution_options={"timeout": 0.02})


async def a_stream_takes_too_long(session):
    options = {"timeout": 0.1}
    async for _row in await session.stream(
        text(ENDLESS_STREAM), execution_options=options
    ):
        pass


async def a_statement_is_cancelled(session):
    async with asyncio.timeout(0.02):
        await session.execute(text(ENDLESS))


async def a_stream_is_cancelled(session):
    async with asyncio.timeout(0.1):
        async for _row in await session.stream(text(ENDLESS_STREAM)):
            pass


READS = [
    (a_statement_is_refused, InvalidStatementError),
    (a_value_is_refused, InvalidValueError),
    (a_stream_breaks_off, InvalidValueError),
    (a_statement_takes_too_long, QueryTimeoutError),
    (a_stream_takes_too_long, QueryTimeoutError),
    (a_statement_is_cancelled, TimeoutError),
    (a_stream_is_cancelled, TimeoutError),
]


async def a_row_exists_already(session):
    await session.execute(insert(Note).values(body="taken"))


async def many_rows_exist_already(session):
    rows = [{"body": f"new {n}"} for n in range(100)]
    await session.execute(insert(Note), [*rows, {"body": "taken"}])


async def a_flush_fails(session):
    session.add(Note(body="taken"))
    await session.flush()


async def a_write_is_cancelled(session):
    async with asyncio.timeout(0.02):
        await session.execute(text(f"INSERT INTO notes (body) {ENDLESS}"))


WRITES = [
    (a_row_exists_already, DuplicateError),
    (many_rows_exist_already, DuplicateError),
    (a_flush_fails, DuplicateError),
    (a_write_is_cancelled, TimeoutError),
]


async def in_a_transaction(engine, work):
    async with engine.transaction() as session:
        await work(session)


async def in_a_session(engine, work):
    async with engine.session() as session:
        await work(session)
        await session.commit()


async def in_a_block(engine, work):
    async with engine.session() as session, session.begin():
        await work(session)


async def on_a_plain_connection(engine, work):
    async with engine.engine.connect() as connection:
        await work(connection)
        await connection.commit()


ROADS = [in_a_transaction, in_a_session, in_a_block]


@pytest.fixture
async def engine(engine):
    async with engine.transaction() as session:
        session.add(Note(body="taken"))
    return engine


@pytest.mark.parametrize("road", ROADS)
async def test_after_a_swallowed_error_nothing_is_committed(engine, road):
    for fail, error in (*READS, *WRITES):

        async def work(session, fail=fail, error=error):
            await add_one(session)
            with pytest.raises(error):
                await fail(session)
            # A dead transaction keeps nobody waiting.
            assert not engine.stats()["writer_active"]

        with pytest.raises(TransactionAbortedError) as caught:
            await road(engine, work)

        # A timeout of asyncio is a cancellation underneath.
        expected = asyncio.CancelledError if error is TimeoutError else error
        assert isinstance(caught.value.original, expected)
        assert await plain(engine) == 0
    await assert_at_rest(engine)


@pytest.mark.parametrize("road", [in_a_session, in_a_block, on_a_plain_connection])
async def test_who_only_read_goes_on_after_an_error(engine, road):
    for number, (fail, error) in enumerate(READS, start=1):

        async def work(session, fail=fail, error=error):
            with pytest.raises(error):
                await fail(session)
            assert await session.scalar(text("SELECT 42")) == 42
            await add_one(session)

        await road(engine, work)

        assert await plain(engine) == number
    await assert_at_rest(engine)


async def test_every_statement_after_the_error_is_refused_with_its_reason(engine):
    async with engine.session() as session:
        await add_one(session)
        with pytest.raises(DuplicateError):
            await a_row_exists_already(session)
        for _ in range(2):
            with pytest.raises(TransactionAbortedError, match="taken"):
                await session.execute(text("SELECT 42"))

        await session.rollback()

        await add_one(session)
        await session.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


async def test_after_a_failed_commit_the_session_starts_anew(engine):
    async with engine.session() as session:
        await add_one(session)
        with pytest.raises(InvalidStatementError):
            await a_statement_is_refused(session)
        with pytest.raises(TransactionAbortedError):
            await session.commit()
        await session.rollback()

        await add_one(session)
        await session.commit()
    assert await plain(engine) == 1
    await assert_at_rest(engine)


# --- around the gate ------------------------------------------------------------


@pytest.fixture
def stranger(engine):
    """
    A connection to the same database that knows nothing of the gate.
    """
    database = engine._database
    stranger = database.cursor()
    stranger.begin()
    yield stranger
    database.close(stranger)


async def test_a_key_that_exists_at_commit_is_a_duplicate(engine, stranger):
    with pytest.raises(DuplicateError, match="new") as caught:
        async with engine.transaction() as session:
            session.add(Note(body="new"))
            await session.flush()
            stranger.execute("INSERT INTO notes (id, body) VALUES (77, 'new')")
            stranger.commit()

    assert caught.value.__cause__ is not None
    async with engine.session() as session:
        notes = select(func.count()).where(Note.body == "new")
        assert await session.scalar(notes) == 1
    await assert_at_rest(engine)


async def test_a_row_another_has_changed_is_a_conflict(engine, stranger):
    stranger.execute("UPDATE counters SET plain = 10")
    with pytest.raises(WriteConflictError):
        async with engine.transaction() as session:
            await add_one(session)
    stranger.commit()

    await engine.sessions.run_in_transaction(add_one)

    assert await plain(engine) == 11
    await assert_at_rest(engine)


async def test_a_table_another_has_changed_at_commit_is_a_conflict(engine, stranger):
    with pytest.raises(WriteConflictError):
        async with engine.transaction() as session:
            session.add(Counter(id=2))
            await session.flush()
            stranger.execute("ALTER TABLE counters ADD COLUMN later INT")
            stranger.commit()

    assert await plain(engine, 2) is None
    await assert_at_rest(engine)
