"""
The marks of projects, conversations, documents and search.

"raw" is synchronous ``duckdb`` over a copy of the same file, running the same
statements.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from contextlib import asynccontextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import func, select, text

from benchmarks.measure import Mark, milliseconds, ratio, side_by_side, tidy
from project_architect_db import (
    Conversation,
    ConversationRepository,
    DatabaseEngine,
    Document,
    DocumentRepository,
    Project,
    ProjectRepository,
    RepositoryRepository,
)
from project_architect_db.domain.search.index import INDEX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Measure = Callable[["Path", float], Awaitable[list[Mark]]]

APPEND = """
UPDATE conversations
SET messages = json_insert(messages, '$[#]', $1), updated_at = now()
WHERE id = $2
"""
RARE, COMMON, PHRASE = "zirconium", "the", '"quick brown"'


@asynccontextmanager
async def _beside_raw(
    path: Path,
) -> AsyncIterator[tuple[DatabaseEngine, duckdb.DuckDBPyConnection]]:
    """
    A database that is filled, and a copy of it as DuckDB alone sees it.
    """
    copy = path.with_suffix(".raw")
    shutil.copyfile(path, copy)
    raw = duckdb.connect(str(copy))
    raw.execute("SET TimeZone = 'UTC'")
    async with DatabaseEngine(path) as engine:
        yield engine, raw
    raw.close()


async def _filled(path: Path, fill: Callable[[Any], Awaitable[None]]) -> None:
    async with DatabaseEngine(path) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
            await fill(session)
        await engine.checkpoint()


async def project_with_everything(folder: Path, share: float) -> list[Mark]:
    """
    A project of 50 conversations, 500 documents and 5 repositories, in one call.
    """

    async def fill(session: Any) -> None:
        for repository, count, name in (
            (ConversationRepository(session), 50, "title"),
            (DocumentRepository(session), 500, "title"),
            (RepositoryRepository(session), 5, "name"),
        ):
            rows = [{"project_id": 1, name: f"{i}"} for i in range(count)]
            await repository.bulk_create(rows)

    await _filled(folder / "p.duckdb", fill)
    tables = "conversations", "documents", "repositories", "activity"
    statements = ["SELECT * FROM projects WHERE id = 1"]
    statements += [f"SELECT * FROM {t} WHERE project_id IN (1)" for t in tables]
    async with _beside_raw(folder / "p.duckdb") as (engine, raw):

        async def everything(_: int) -> None:
            async with engine.session() as session:
                await ProjectRepository(session).get_with_everything(1)

        def the_same(_: int) -> None:
            for statement in statements:
                raw.execute(statement).fetchall()

        ours, yardstick = await side_by_side(
            everything, the_same, rounds=int(80 * share) + 10, warm_up=5
        )
    return [ratio("a project with everything", ours, yardstick, 3, "raw")]


async def messages(folder: Path, share: float) -> list[Mark]:
    """
    A message added to a conversation of 5,000, and 50 by as many tasks at once.
    """
    text = "x" * 80
    long = [{"role": "user", "content": f"message {i}: {text}"} for i in range(5000)]

    async def fill(session: Any) -> None:
        session.add(Conversation(project_id=1, title="Long", messages=long))

    await _filled(folder / "c.duckdb", fill)
    message = '{"role": "user", "content": "one more"}'
    async with _beside_raw(folder / "c.duckdb") as (engine, raw):

        async def add(_: int = 0) -> None:
            async with engine.transaction() as session:
                await ConversationRepository(session).add_message(
                    1, {"content": "one more"}
                )

        ours, yardstick = await side_by_side(
            add, lambda _: raw.execute(APPEND, [message, 1]),
            rounds=int(60 * share) + 10, warm_up=5,
        )  # fmt: skip
        async with engine.session() as session:
            found = select(func.json_array_length(Conversation.messages))
            before = await session.scalar(found)
        started = time.perf_counter()
        await asyncio.gather(*(add() for _ in range(50)))
        at_once = milliseconds(started)
        async with engine.session() as session:
            kept = await session.scalar(found) - before
    added = ratio("a message added to 5,000", ours, yardstick, 1.5, "raw")
    added.reached = 3.0  # with its position, its event, and the check of its project
    return [
        added,
        Mark("… by 50 tasks at once, of which were lost", 50 - kept, 0, ""),
        Mark("… by 50 tasks at once", at_once, 50 * 1.5 * yardstick + 100, "ms"),
    ]


async def deletion(folder: Path, share: float) -> list[Mark]:
    """
    A project that is deleted with its 100,000 documents.
    """
    count = int(100_000 * share)

    async def fill(session: Any) -> None:
        rows = _documents(count, random.Random(1))
        await DocumentRepository(session).bulk_insert(rows)

    await _filled(folder / "d.duckdb", fill)
    async with DatabaseEngine(folder / "d.duckdb") as engine:
        tidy()
        started = time.perf_counter()
        async with engine.transaction() as session:
            await ProjectRepository(session).delete(1)
        took = milliseconds(started)
        async with engine.session() as session:
            left = await session.scalar(select(func.count(Document.id)))
            left += await session.scalar(select(func.count(Project.id)))
    return [
        Mark(f"a project deleted with {count:,} documents", took / 1000, 2, "s"),
        Mark("… left behind", left, 0, ""),
    ]


def _documents(count: int, chance: random.Random) -> list[dict[str, Any]]:
    """
    Short documents: titles of six words, contents of thirty.
    """
    words = [f"word{n}" for n in range(5000)]
    weights = [1 / (n + 1) for n in range(5000)]
    rows = []
    for number in range(count):
        chosen = chance.choices(words, weights, k=34)
        content = f"the {' '.join(chosen[6:])}"
        if number % 7 == 0:
            content += " quick brown"
        if number % 20_000 == 0:
            content += f" {RARE}"
        title = " ".join(chosen[:6])
        rows.append({"project_id": 1, "title": title, "content": content})
    return rows


async def search(folder: Path, share: float) -> list[Mark]:
    """
    Search in 100,000 short documents, and what it adds to a write.
    """
    count = int(100_000 * share)
    rows = _documents(count, random.Random(1))
    async with DatabaseEngine(folder / "s.duckdb") as engine:
        await engine.create_all()
        tidy()
        started = time.perf_counter()
        async with engine.transaction() as session:
            await ProjectRepository(session).create({"name": "a", "project_idea": "b"})
            await DocumentRepository(session).bulk_insert(rows)
        imported = count / (milliseconds(started) / 1000)
        await engine.checkpoint()
        marks = [
            Mark(
                "short documents imported in a second",
                imported,
                45_000,
                "",
                is_least=True,
            )
        ]
        marks += await _searches(engine, count, share)
        with_index = await _writes(engine, share)
    engine = DatabaseEngine(folder / "s.duckdb")
    async with engine, engine.transaction() as session:
        for table in INDEX.tables:
            await session.execute(text(f"DROP TABLE {table.name}"))
    async with DatabaseEngine(folder / "s.duckdb") as engine:
        without = await _writes(engine, share)
    for name, limit, ours, theirs in zip(
        ("insert", "update"), (6, 12), with_index, without, strict=True
    ):
        mark = Mark(f"… it adds to an {name}", ours - theirs, limit, "ms")
        mark.ours, mark.yardstick, mark.beside = ours, theirs, "without search"
        marks.append(mark)
    return marks


async def _searches(engine: DatabaseEngine, count: int, share: float) -> list[Mark]:
    marks = []
    for name, query, limit in (
        ("a rare word", RARE, 15), ("a common word", COMMON, 40),
        ("a prefix", "zirc*", 15), ("a phrase", PHRASE, 40),
    ):  # fmt: skip
        taken = []
        for number in range(int(40 * share) + 10):
            async with engine.transaction() as session:  # a write the library knows
                await DocumentRepository(session).create(
                    {"project_id": 1, "title": f"{name} {number}", "content": "x"}
                )
            async with engine.session() as session:
                started = time.perf_counter()
                await DocumentRepository(session).search(query)
                taken.append(milliseconds(started))
        found = f"search in {count:,} documents: {name}"
        marks.append(Mark(found, median(taken), limit, "ms"))
    return marks


async def _writes(engine: DatabaseEngine, share: float) -> tuple[float, float]:
    """
    How long a document takes to be added, and to be changed, with the commit.
    """
    inserts, updates = [], []
    for number in range(int(60 * share) + 10):
        data = {"project_id": 1, "title": f"new {number}", "content": "quick brown fox"}
        started = time.perf_counter()
        async with engine.transaction() as session:
            made = await DocumentRepository(session).create(data)
        inserts.append(milliseconds(started))
        started = time.perf_counter()
        async with engine.transaction() as session:
            changes = {"content": f"lazy dog {number}"}
            await DocumentRepository(session).update(made.id, changes)
        updates.append(milliseconds(started))
    return median(inserts), median(updates)


MEASURES: dict[str, Measure] = {
    function.__name__: function
    for function in (project_with_everything, messages, deletion, search)
}
