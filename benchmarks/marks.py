"""
The marks of the engine, each beside its yardstick.

"raw" is synchronous ``duckdb`` running the same statements, transaction included.
"""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import create_engine, insert, select, text, update
from sqlalchemy.orm import Session

from benchmarks.measure import (
    Mark,
    milliseconds,
    percentile,
    ratio,
    side_by_side,
    tidy,
    watched_loop,
)
from benchmarks.models import CREATE, INSERT, SELECT, Base, Item, values
from project_architect_db import DatabaseEngine
from project_architect_db.dialect.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from project_architect_db.dialect.worker import Call

    Step = Callable[[int], Awaitable[object]]
    Measure = Callable[["Path", float], Awaitable[list[Mark]]]

ROWS = 10_000
SLOW = "SELECT count(*) FROM range({}) t(i) WHERE hash(i) % 7 = 3"


def _raw(path: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(path)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(CREATE)
    return connection


def _parameters(number: int) -> list[Any]:
    row = values(number)
    row["architecture"] = json.dumps(row["architecture"])
    return list(row.values())


async def acquisition(folder: Path, share: float) -> list[Mark]:
    """
    A connection out of the pool and back.
    """
    times: list[float] = []
    async with DatabaseEngine(folder / "a.duckdb", metadata=Base.metadata) as engine:
        for _ in range(int(5000 * share) + 200):
            started = time.perf_counter()
            async with engine.engine.connect():
                pass
            times.append(milliseconds(started))
    times = times[100:]
    return [
        Mark("connection acquisition, p50", median(times), 0.1, "ms"),
        Mark("connection acquisition, p99", percentile(times, 0.99), 1.0, "ms"),
    ]


class _InPlace(Worker):
    """
    A worker without a thread: DuckDB is called on the event loop's own.
    """

    async def call(self, function: Callable[[], Any], **_: Any) -> Any:
        return function()

    async def call_to_the_end(self, function: Callable[[], object]) -> None:
        function()

    def _put(self, call: Call[Any]) -> None:
        call.run()


def _sqlalchemy_alone(function: Step) -> Step:
    """
    The same step without threads: no layer over SQLAlchemy can take less time.
    """
    names = "call", "call_to_the_end", "_put"
    theirs = {name: getattr(Worker, name) for name in names}

    async def step(number: int) -> None:
        for name in names:
            setattr(Worker, name, getattr(_InPlace, name))
        try:
            await function(number)
        finally:
            for name in names:
                setattr(Worker, name, theirs[name])

    return step


async def point_select(folder: Path, share: float) -> list[Mark]:
    """
    One row by its key, an ORM object out, in an open session.
    """
    rounds = int(1000 * share) + 100
    rows = 2 * (rounds + 20)
    raw = _raw(":memory:")
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            await session.execute(insert(Item), [values(i) for i in range(rows)])
        for i in range(rows):
            raw.execute(INSERT, _parameters(i))
        async with engine.session() as session:
            raw.begin()
            ours, alone, yardstick = await side_by_side(
                lambda i: session.get(Item, i + 1),
                _sqlalchemy_alone(lambda i: session.get(Item, rows - i - 1)),
                lambda i: raw.execute(SELECT, [i + 1]).fetchall(),
                rounds=rounds,
            )
    raw.close()
    name = "one row by key, ORM object out"
    return [
        ratio(name, ours, yardstick, 1.3, "raw", alone=alone),
        Mark(name, ours, 1.0, "ms"),
    ]


async def insert_flush(folder: Path, share: float) -> list[Mark]:
    """
    INSERT and flush of one object, in memory.
    """
    raw = _raw(":memory:")
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:

            async def flush(number: int) -> None:
                session.add(Item(**values(number)))
                await session.flush()

            raw.begin()
            ours, alone, yardstick = await side_by_side(
                flush,
                _sqlalchemy_alone(flush),
                lambda i: raw.execute(INSERT, _parameters(i)).fetchall(),
                rounds=int(1000 * share) + 100,
            )
    raw.close()
    name = "INSERT + flush, in memory"
    return [ratio(name, ours, yardstick, 1.3, "raw", alone=alone)]


async def insert_commit(folder: Path, share: float) -> list[Mark]:
    """
    INSERT and commit of one object, on a file.
    """
    raw = _raw(str(folder / "raw.duckdb"))
    async with DatabaseEngine(folder / "i.duckdb", metadata=Base.metadata) as engine:
        await engine.create_all()

        async def commit(number: int) -> None:
            async with engine.transaction() as session:
                session.add(Item(**values(number)))

        def theirs(number: int) -> None:
            raw.begin()
            raw.execute(INSERT, _parameters(number)).fetchall()
            raw.commit()

        ours, alone, yardstick = await side_by_side(
            commit, _sqlalchemy_alone(commit), theirs, rounds=int(500 * share) + 50
        )
    raw.close()
    name = "INSERT + commit, on a file"
    return [ratio(name, ours, yardstick, 1.35, "raw", alone=alone)]


async def add_all(folder: Path, share: float) -> list[Mark]:
    """
    `session.add_all` and commit of 10,000 objects.
    """
    sqlite = create_engine("sqlite://")
    Base.metadata.create_all(sqlite)
    rounds = max(3, int(9 * share))
    ours: list[float] = []
    theirs: list[float] = []
    stalls: list[float] = []
    async with DatabaseEngine(folder / "b.duckdb", metadata=Base.metadata) as engine:
        await engine.create_all()
        for _ in range(rounds + 1):
            objects = [Item(**values(i)) for i in range(ROWS)]
            tidy()
            async with watched_loop() as loop:
                started = time.perf_counter()
                async with engine.transaction() as session:
                    session.add_all(objects)
                ours.append(milliseconds(started))
            stalls.append(loop.worst)
            objects = [Item(**values(i)) for i in range(ROWS)]
            tidy()
            started = time.perf_counter()
            with Session(sqlite) as sync:
                sync.add_all(objects)
                sync.commit()
            theirs.append(milliseconds(started))
    sqlite.dispose()
    name = "add_all + commit of 10,000 objects"
    return [
        ratio(name, median(ours[1:]), median(theirs[1:]), 0.9, "SQLite in memory"),
        Mark("… longest stall of the loop", median(stalls[1:]), 50, "ms"),
    ]


async def bulk_insert(folder: Path, share: float) -> list[Mark]:
    """
    INSERT of many rows at once: Core, ORM, ORM with RETURNING.
    """
    marks: list[Mark] = []
    rounds = max(3, int(11 * share))
    statements: list[tuple[str, Any, float]] = [
        ("Core insert", insert(Item.__table__), 60),
        ("ORM insert", insert(Item), 110),
        ("ORM insert, returning ids", insert(Item).returning(Item.id), 130),
    ]
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        for name, statement, limit in statements:
            for count in (ROWS, 500):
                rows = [values(i) for i in range(count)]
                times: list[float] = []
                stalls: list[float] = []
                for _ in range(rounds + 2):
                    tidy()
                    async with watched_loop() as loop:
                        started = time.perf_counter()
                        async with engine.transaction() as session:
                            result = await session.execute(statement, rows)
                            if statement._returning:
                                result.all()
                        times.append(milliseconds(started))
                    stalls.append(loop.worst)
                took = median(times[2:])
                share_of = count / ROWS
                marks.append(
                    Mark(f"{name}, {count:,} rows", took, limit * share_of, "ms")
                )
                if count == ROWS:
                    worst = median(stalls[2:])
                    marks.append(Mark("… longest stall of the loop", worst, 50, "ms"))
    return marks


async def loop_stalls(folder: Path, share: float) -> list[Mark]:
    """
    The event loop beside a long query, and beside a long stream.
    """
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        async with engine.session() as session:
            started = time.perf_counter()
            await session.execute(text(SLOW.format(50_000_000)))
            wanted = int(50_000_000 * 3000 / milliseconds(started))
            async with watched_loop() as query:
                await session.execute(text(SLOW.format(wanted)))
        rows = "SELECT i, md5(i::VARCHAR), i * 1.5 FROM range(500_000) t(i)"
        async with engine.session() as session, watched_loop() as fetch:
            await session.execute(text(rows))
        count = 0
        async with engine.session() as session, watched_loop() as stream:
            async for _ in await session.stream(text(rows)):
                count += 1
        assert count == 500_000
    return [
        Mark("loop stall during a 3-second query", query.worst, 20, "ms"),
        Mark("loop stall while 500,000 rows stream by", stream.worst, 60, "ms"),
        Mark("… while they are fetched at once", fetch.worst, 60, "ms"),
    ]


async def cancellation(folder: Path, share: float) -> list[Mark]:
    """
    From the cancellation of a query to the next answer on its connection.
    """
    times: list[float] = []
    async with DatabaseEngine(":memory:", metadata=Base.metadata, pool_size=1,
                              max_overflow=0) as engine:  # fmt: skip
        for _ in range(int(1000 * share) + 20):
            session = engine.session()
            task = asyncio.create_task(session.execute(text(SLOW.format(10**11))))
            await asyncio.sleep(0.01)
            started = time.perf_counter()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await session.close()
            async with engine.session() as session:
                await session.execute(text("SELECT 1"))
            times.append(milliseconds(started))
    return [Mark("cancellation to a usable connection, worst", max(times), 100, "ms")]


async def reads_beside_a_writer(folder: Path, share: float) -> list[Mark]:
    """
    Small reads by 64 tasks, without and with a task that writes all the time.
    """
    async with DatabaseEngine(folder / "r.duckdb", metadata=Base.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            await session.execute(insert(Item), [values(i) for i in range(1000)])
        reads = int(100 * share) + 10

        async def reader(times: list[float], number: int) -> None:
            for i in range(reads):
                started = time.perf_counter()
                async with engine.session() as session:
                    key = (number * 31 + i) % 1000 + 1
                    await session.scalar(select(Item.name).where(Item.id == key))
                times.append(milliseconds(started))

        async def writer() -> None:
            while True:
                async with engine.transaction() as session:
                    await session.execute(
                        update(Item).values(score=1.0).where(Item.id == 1)
                    )

        async def p99() -> float:
            times: list[float] = []
            await asyncio.gather(*(reader(times, number) for number in range(64)))
            return percentile(times, 0.99)

        await p99()
        alone = await p99()
        task = asyncio.create_task(writer())
        beside = await p99()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    name = "p99 of reads by 64 tasks beside a writer"
    return [ratio(name, beside, alone, 3, "without the writer")]


MEASURES: dict[str, Measure] = {
    function.__name__: function
    for function in (
        acquisition, point_select, insert_flush, insert_commit, add_all, bulk_insert,
        loop_stalls, cancellation, reads_beside_a_writer,
    )
}  # fmt: skip
