"""
What the tests of everything concurrent share: a small schema and ways to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db.base import NAMING_CONVENTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db import DatabaseEngine
    from project_architect_db.dialect.driver import DriverConnection

PATIENCE = 30.0
"""Seconds after which a test calls something hung; everything takes far less."""

OUR_THREADS = ("duckdb-connection", "session-flush")

ENDLESS = (
    "SELECT count(*) FROM range(100000000) a, range(1000000) b "
    "WHERE a.range + b.range < 0"
)
"""A query that ends when it is told to."""

ENDLESS_STREAM = (
    "SELECT range AS n FROM range(100000000000000) "
    "WHERE range < 5000 OR range % 99999999999999 = 77777777777777"
)
"""5,000 rows, and then a fetch that ends when it is told to."""


class Model(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class Counter(Model):
    """
    A row that DuckDB updates in place, or rewrites, depending on the column.
    """

    __tablename__ = "counters"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    plain: Mapped[int] = mapped_column(default=0)
    indexed: Mapped[int] = mapped_column(default=0, index=True)


class Note(Model):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(unique=True)


async def until(condition: Callable[[], object]) -> None:
    """
    Let the other tasks run until the condition holds.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.001)


async def writers_waiting(engine: DatabaseEngine, number: int) -> None:
    await until(lambda: engine.stats()["writers_waiting"] == number)


async def a_query_runs(engine: DatabaseEngine) -> None:
    """
    Wait until some statement has been in DuckDB's hands for a moment.
    """
    await until(lambda: engine.stats()["queries_running"])
    await asyncio.sleep(0.02)


async def add_one(session: AsyncSession, number: int = 1) -> None:
    counter = Counter.__table__
    await session.execute(
        update(counter).where(counter.c.id == number).values(plain=counter.c.plain + 1)
    )


async def plain(engine: DatabaseEngine, number: int = 1) -> Any:
    """
    What another session sees of a counter.
    """
    async with engine.session() as session:
        return await session.scalar(select(Counter.plain).where(Counter.id == number))


async def driver_of(session: AsyncSession) -> DriverConnection:
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    driver: DriverConnection = raw.driver_connection
    return driver


async def assert_at_rest(engine: DatabaseEngine) -> None:
    """
    Nobody holds or awaits anything, no transaction is open, and writing works.
    """
    await until(lambda: not engine.stats()["writer_active"])
    stats = engine.stats()
    assert stats["connections_in_use"] == 0
    assert stats["connections_waiting"] == 0
    assert stats["writers_waiting"] == 0
    assert stats["queries_running"] == 0
    await until(
        lambda: not any(c._transaction.has_state for c in tuple(engine._connections))
    )
    async with asyncio.timeout(PATIENCE):
        async with engine.transaction() as session:
            await session.execute(text("CREATE OR REPLACE TABLE at_rest AS SELECT 1"))
        await engine.checkpoint()


def our_threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name in OUR_THREADS}


@contextlib.contextmanager
def leaking_on_purpose() -> Iterator[None]:
    """
    Drop what is garbage at the end, and do not complain about what leaked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        gc.collect()
        gc.collect()


async def cancelled(task: asyncio.Task[Any]) -> None:
    """
    Cancel a task, and see that the cancellation is what it ends with.
    """
    task.cancel()
    await asyncio.wait((task,), timeout=PATIENCE)
    assert task.done(), "the task hangs"
    assert task.cancelled(), task.exception()
