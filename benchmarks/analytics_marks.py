"""
The marks of analytics: every question beside the same SQL in raw DuckDB.

The SQL of a question is the fastest that we have found, written by hand; so "raw" is
synchronous ``duckdb`` running it over a copy of the file. What is compared is what the
library adds: a session, a thread, a snapshot, rows with names, filled gaps.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import text

from benchmarks.measure import (
    Mark,
    milliseconds,
    percentile,
    ratio,
    side_by_side,
    tidy,
)
from project_architect_db import (
    Activity,
    AnalyticsRepository,
    DatabaseEngine,
    Document,
    ProjectRepository,
    Question,
)
from project_architect_db.analytics.page import SECTIONS
from project_architect_db.testing import seed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Measure = Callable[["Path", float], Awaitable[list[Mark]]]
    Statements = list[tuple[str, Any]]

AT = datetime(2026, 6, 1, tzinfo=UTC)
SMALL, LARGE = 116_000, 5_800_000
"""Rows of all tables, of which nine of ten are activity."""

DOCUMENTS = 1_000_000
FAST = 4.0
"""Milliseconds: what DuckDB answers faster, has an absolute limit of 5 ms."""

REACHED = {
    "status_distribution": 1.5, "project_cohorts": 1.4, "message_heatmap": 1.5,
    "document_creation": 1.6, "time_series": 1.7, "dashboard": 1.4,
}  # fmt: skip
"""At 100,000 rows, where the rows that Python makes are much of the time."""

HEAVY = "SELECT count(DISTINCT (actor, entity_id, payload)) FROM activity"
SMALL_READ = "SELECT name FROM projects WHERE id = $1"
MORE_DOCUMENTS = """
INSERT INTO documents (id, project_id, title, kind, language, size, lines, checksum,
    created_at, updated_at)
SELECT 10000000 + i, d.project_id, d.title, d.kind, d.language, d.size, d.lines,
    sha256(i::VARCHAR), d.created_at, d.updated_at
FROM range(:count) r(i)
JOIN (SELECT *, row_number() OVER () - 1 AS n FROM documents) d
    ON d.n = i % (SELECT count(*) FROM documents)
"""


def questions(analytics: AnalyticsRepository) -> dict[str, Question[Any]]:
    """
    All of them, as the guide asks them; by week what is told by time.
    """
    found = {}
    for name in (name for names in SECTIONS.values() for name in names):
        method = getattr(analytics, name)
        at = {"at": AT} if "at" in inspect.signature(method).parameters else {}
        found[name] = method(granularity="week", **at)
    found["time_series"] = analytics.time_series(
        Activity.occurred_at, by=Activity.entity, granularity="week", fill=0, window=4
    )
    found["seasonality"] = analytics.seasonality(Document.created_at, by="weekday")
    found["dashboard"] = analytics.dashboard(
        at=AT, since=datetime(2020, 1, 1, tzinfo=UTC), granularity="week"
    )
    return found


@asynccontextmanager
async def _seeded(
    path: Path, rows: int, documents: int = 0
) -> AsyncIterator[tuple[DatabaseEngine, duckdb.DuckDBPyConnection]]:
    """
    A seeded database, and a copy of it as DuckDB alone sees it.
    """
    async with DatabaseEngine(path, slow_query_seconds=None) as engine:
        await engine.create_all()
        await seed(engine, rows=rows)
        if documents:
            async with engine.transaction() as session:
                count = await session.scalar(text("SELECT count(*) FROM documents"))
                await session.execute(
                    text(MORE_DOCUMENTS), {"count": max(0, documents - count)}
                )
        await engine.checkpoint()
    copy = path.with_suffix(".raw")
    shutil.copyfile(path, copy)
    raw = duckdb.connect(str(copy))
    raw.execute("SET TimeZone = 'UTC'")
    settings: dict[str, Any] = {"slow_query_seconds": None, "log_values": True}
    async with DatabaseEngine(path, **settings) as engine:
        yield engine, raw
    raw.close()


async def _statements(engine: DatabaseEngine, question: Question[Any]) -> Statements:
    """
    What a question asks of the database, with its values.
    """
    asked: Statements = []
    stop = engine.on_query(
        lambda query: asked.append((query.statement, list(query.values or ())))
    )
    await question
    stop()
    return [(sql, values) for sql, values in asked if "SELECT" in sql]


async def _timed(
    engine: DatabaseEngine, raw: duckdb.DuckDBPyConnection, rounds: int
) -> dict[str, tuple[float, float]]:
    """
    Milliseconds of each question, ours and raw.
    """
    analytics, times = AnalyticsRepository(engine), {}
    for name, question in questions(analytics).items():
        statements = await _statements(engine, question)

        async def ours(_: int, question: Question[Any] = question) -> None:
            analytics.clear()
            await question

        def theirs(_: int, statements: Statements = statements) -> None:
            for sql, values in statements:
                raw.execute(sql, values).fetchall()

        tidy()
        took, yardstick = await side_by_side(ours, theirs, rounds=rounds, warm_up=2)
        times[name] = took, yardstick
    return times


async def analytics_small(folder: Path, share: float) -> list[Mark]:
    """
    100,000 rows of activity: each question, and one that is known.
    """
    marks = []
    async with _seeded(folder / "s.duckdb", SMALL) as (engine, raw):
        times = await _timed(engine, raw, rounds=int(20 * share) + 5)
        for name, (ours, yardstick) in times.items():
            mark = ratio(f"{name}, 100,000", ours, yardstick, 1.3, "raw")
            mark.reached = REACHED.get(name, 0.0)
            marks.append(mark)
            if yardstick < FAST:
                marks.append(Mark(f"{name}, 100,000", ours, 5, "ms"))
        marks += await _known(AnalyticsRepository(engine))
    return marks


async def _known(analytics: AnalyticsRepository) -> list[Mark]:
    """
    The slowest of all questions, once they are known; asked and awaited.
    """
    slowest = 0.0
    names = (name for names in SECTIONS.values() for name in names)
    for name in names:
        taken = []
        for _ in range(200):
            started = time.perf_counter()
            await getattr(analytics, name)(granularity="week")
            taken.append(milliseconds(started))
        slowest = max(slowest, median(taken))
    return [Mark("a known answer, the slowest", slowest, 0.1, "ms")]


async def analytics_large(folder: Path, share: float) -> list[Mark]:
    """
    5,000,000 rows of activity and 1,000,000 documents.
    """
    marks = []
    async with _seeded(folder / "t.duckdb", SMALL) as (engine, raw):
        few = await _timed(engine, raw, rounds=5)
    async with _seeded(folder / "l.duckdb", LARGE, DOCUMENTS) as (engine, raw):
        many = await _timed(engine, raw, rounds=int(4 * share) + 1)
        for name, (ours, yardstick) in many.items():
            marks.append(ratio(f"{name}, 5,000,000", ours, yardstick, 1.2, "raw"))
        marks.append(Mark("dashboard, 5,000,000", many["dashboard"][0], 300, "ms"))
        growth = {
            name: (many[name][0] / few[name][0]) / (many[name][1] / few[name][1])
            for name in many
        }
        worst = max(growth, key=lambda name: growth[name])
        marks.append(
            Mark(f"growth beside raw, at worst {worst}", growth[worst], 1, "×")
        )
        marks += await _grown(engine)
        marks += await _beside_a_heavy_one(engine, raw, int(300 * share) + 50)
    return marks


async def _grown(engine: DatabaseEngine) -> list[Mark]:
    """
    A dashboard after one more event, beside one that is made from scratch.
    """
    analytics, grown, fresh = AnalyticsRepository(engine), [], []
    board = questions(analytics)["dashboard"]
    await board
    for number in range(5):
        async with engine.transaction() as session:
            projects = ProjectRepository(session)
            await projects.create({"name": f"n{number}", "project_idea": "i"})
        started = time.perf_counter()
        await board
        grown.append(milliseconds(started))
    for _ in range(3):
        analytics.clear()
        started = time.perf_counter()
        await board
        fresh.append(milliseconds(started))
    name = "dashboard after one more event, beside one from scratch"
    return [ratio(name, median(grown), median(fresh), 0.5, "ours")]


async def _beside_a_heavy_one(
    engine: DatabaseEngine, raw: duckdb.DuckDBPyConnection, rounds: int
) -> list[Mark]:
    """
    How much slower small reads are at worst while a heavy question runs.
    """

    async def our_reads() -> float:
        taken = []
        for number in range(rounds):
            started = time.perf_counter()
            async with engine.session() as session:
                await session.execute(
                    text(SMALL_READ.replace("$1", ":id")), {"id": number}
                )
            taken.append(milliseconds(started))
        return percentile(taken, 0.99)

    def raw_reads() -> float:
        taken, cursor = [], raw.cursor()
        for number in range(rounds):
            started = time.perf_counter()
            cursor.execute(SMALL_READ, [number]).fetchall()
            taken.append(milliseconds(started))
        return percentile(taken, 0.99)

    async def heavy() -> None:
        async with engine.session() as session:
            while True:
                await session.execute(text(HEAVY))

    stop = False

    def raw_heavy() -> None:
        cursor = raw.cursor()
        while not stop:
            cursor.execute(HEAVY).fetchall()

    idle, raw_idle = await our_reads(), await asyncio.to_thread(raw_reads)
    task = asyncio.create_task(heavy())
    await asyncio.sleep(0.2)
    busy = await our_reads()
    task.cancel()
    await asyncio.wait([task])
    thread = asyncio.create_task(asyncio.to_thread(raw_heavy))
    await asyncio.sleep(0.2)
    raw_busy = await asyncio.to_thread(raw_reads)
    stop = True
    await thread
    name = "p99 of small reads beside a heavy question, to p99 alone"
    return [
        Mark(
            name, (busy / idle) / (raw_busy / raw_idle), 1.5, "×", busy, raw_busy, "raw"
        )
    ]


AT_SCALE: dict[str, Measure] = {"analytics_at_scale": analytics_large}
"""Takes minutes, and tells nothing about less."""

MEASURES: dict[str, Measure] = {"analytics": analytics_small, **AT_SCALE}
