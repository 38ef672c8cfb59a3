"""
Write, change and delete ten thousands of records by columns.

Run it anywhere, with a number of rows if you like: it leaves no files behind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from project_architect_db import (
    BaseRepository,
    DatabaseEngine,
    InvalidDataError,
    Project,
    run,
)
from project_architect_db.testing import temporary_database


@contextmanager
def timed(what: str) -> Iterator[None]:
    """
    Say how long something took, its commit included.
    """
    started = time.perf_counter()
    yield
    print(f"{what:<24}{(time.perf_counter() - started) * 1000:8.0f} ms")


async def bulk_processing_example(engine: DatabaseEngine, count: int) -> None:
    """
    Each step is one transaction, and all or nothing.
    """
    rows = [
        {"name": f"Project {n}", "project_idea": "?", "architecture": {"score": n % 10}}
        for n in range(count)
    ]

    with timed("created"):
        async with engine.transaction() as session:
            made = await BaseRepository[Project](session).bulk_create(
                rows, progress=lambda done, total: print(f"  … {done} of {total}")
            )

    with timed("changed"):
        changes = [{"id": project.id, "status": "active"} for project in made]
        async with engine.transaction() as session:
            await BaseRepository[Project](session).bulk_update(changes)

    with timed("deleted half of them"):
        async with engine.transaction() as session:
            projects = BaseRepository[Project](session)
            await projects.bulk_delete(project.id for project in made[::2])

    rows[count // 2]["name"] = "x" * 300  # too long for its column
    try:
        async with engine.transaction() as session:
            await BaseRepository[Project](session).bulk_create(rows)
    except InvalidDataError as error:
        print(f"refused all, because of row {error.index}, field {error.field!r}")

    async with engine.session() as session:
        print(f"{await BaseRepository[Project](session).count()} are left")


async def main() -> None:
    """
    As many rows as the command line says.
    """
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    async with temporary_database() as engine:
        await bulk_processing_example(engine, count)


run(main())
