"""
Cancelled a thousand times in a row, an engine works as it did before.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter as Tally

import pytest
from concurrency_support import (
    ENDLESS,
    ENDLESS_STREAM,
    PATIENCE,
    Counter,
    Model,
    Note,
    add_one,
    assert_at_rest,
    our_threads,
    plain,
    until,
)
from sqlalchemy import func, insert, select, text

from project_architect_db import DatabaseEngine
from project_architect_db.engine.database import WRITERS

STORMS = [
    pytest.param(50, id="a twentieth"),
    pytest.param(1000, id="full", marks=[pytest.mark.storm, pytest.mark.timeout(900)]),
]
READERS = 2
MANY = 2_000
"""Rows of one transaction: all of them are written or none."""


def notes():
    return [{"body": uuid.uuid4().hex} for _ in range(MANY)]


async def query(engine, _):
    async with engine.session() as session:
        await session.execute(text(ENDLESS))


async def stream(engine, _):
    async with engine.session() as session:
        async for _row in await session.stream(text(ENDLESS_STREAM)):
            pass


async def add_without_end(engine, acknowledged):
    while True:
        async with engine.transaction() as session:
            await add_one(session)
        acknowledged["one"] += 1


async def insert_without_end(engine, acknowledged):
    while True:
        async with engine.transaction() as session:
            await session.execute(insert(Note), notes())
        acknowledged["many"] += 1


async def flush_without_end(engine, acknowledged):
    while True:
        async with engine.session() as session:
            session.add_all(Note(**note) for note in notes())
            await session.commit()
        acknowledged["many"] += 1


KINDS = (query, stream, add_without_end, insert_without_end, flush_without_end)


async def cancel_soon(task, chance):
    await asyncio.sleep(chance.choice((0, 0.0005, 0.002, 0.01, 0.03)) * chance.random())
    task.cancel()
    if chance.random() < 0.3:
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait((task,), timeout=PATIENCE)
    assert task.cancelled(), task


@pytest.fixture
async def engine(tmp_path):
    """
    An engine whose readers and writers get in each other's way.
    """
    async with DatabaseEngine(
        tmp_path / "app.duckdb", metadata=Model.metadata, threads=2, pool_size=READERS,
        max_overflow=0,
    ) as engine:  # fmt: skip
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Counter(id=1))
        yield engine


@pytest.mark.parametrize("cancellations", STORMS)
async def test_cancellations_leave_nothing_behind(engine, cancellations):
    chance = random.Random(cancellations)
    acknowledged = Tally()
    for _ in range(cancellations):
        tasks = [
            asyncio.create_task(chance.choice(KINDS)(engine, acknowledged))
            for _ in range(chance.choice((1, 1, 3)))
        ]
        for task in tasks:
            await cancel_soon(task, chance)
        assert await plain(engine) >= acknowledged["one"]

    await until(lambda: len(our_threads()) <= READERS + WRITERS)
    await assert_at_rest(engine)
    assert await plain(engine) >= acknowledged["one"]
    async with engine.session() as session:
        found = await session.scalar(select(func.count(Note.id)))
    assert found % MANY == 0
    assert found >= acknowledged["many"] * MANY
