"""
The marks of what looks after a database: backup, restore, seed.

All of them are about a million rows of `seed`, also in a reduced run: with less, the
start of the process that copies would be most of what is measured.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import text

from benchmarks.measure import Mark, milliseconds, ratio, side_by_side
from project_architect_db import DatabaseEngine, restore
from project_architect_db.engine.backup import copy_database
from project_architect_db.testing import seed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Measure = Callable[["Path", float], Awaitable[list[Mark]]]

ROWS = 1_000_000
CHANGE = "UPDATE projects SET description = 'changed' WHERE id = 1"
"""So that there is something to checkpoint."""


def _silent(*_: object) -> None:
    """
    No progress.
    """


async def _seeded(path: Path) -> float:
    """
    A file with a million rows, and how many were written in a second.
    """
    async with DatabaseEngine(path, slow_query_seconds=None) as engine:
        await engine.create_all()
        done = await seed(engine, rows=ROWS)
        await engine.checkpoint()
    return done.total / done.seconds


@contextmanager
def _raw(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    A copy of the file as DuckDB alone sees it.
    """
    copy = path.with_suffix(".raw")
    shutil.copyfile(path, copy)
    with duckdb.connect(str(copy)) as connection:
        yield connection


async def backups(folder: Path, share: float) -> list[Mark]:
    """
    A copy as `engine.backup()` makes it, and what makes one of a file nobody writes to.
    """
    path = folder / "b.duckdb"
    await _seeded(path)
    async with DatabaseEngine(path, slow_query_seconds=None) as engine:

        async def change(_: int) -> None:
            async with engine.transaction() as session:
                await session.execute(text(CHANGE))

        async def ours(number: int) -> None:
            await copy_database(engine, path, folder / f"ours{number % 2}", _silent)

        with _raw(path) as raw:

            def plain(number: int) -> None:
                raw.execute("CHECKPOINT")
                _copy(path.with_suffix(".raw"), folder / f"plain{number % 2}")

            _, copied, _, yardstick = await side_by_side(
                change, ours, lambda _: raw.execute(CHANGE), plain,
                rounds=int(20 * share) + 5, warm_up=2,
            )  # fmt: skip
    name = "a backup of 1,000,000 rows, but its verification"
    return [ratio(name, copied, yardstick, 1.5, "copy")]


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())  # as a backup that is told to be there has to be


async def restores(folder: Path, share: float) -> list[Mark]:
    """
    A restore beside the backup: each copies the file once, and reads it twice.
    """
    path = folder / "r.duckdb"
    await _seeded(path)

    async def back_up(_: int) -> None:
        async with DatabaseEngine(path, slow_query_seconds=None) as engine:
            await engine.backup(folder / "b.duckdb", overwrite=True)

    async def bring_back(_: int) -> None:
        done = await restore(folder / "b.duckdb", path)
        if done.kept is not None:
            done.kept.unlink()

    found: Any = await side_by_side(
        back_up, bring_back, rounds=int(6 * share) + 2, warm_up=1
    )
    return [ratio("a restore of 1,000,000 rows", found[1], found[0], 1.5, "backup")]


async def seeds(folder: Path, share: float) -> list[Mark]:
    """
    Rows that `seed` writes in a second, and the time until the first of them are there.
    """
    rates = [
        await _seeded(folder / f"s{number}.duckdb")
        for number in range(int(3 * share) + 1)
    ]
    started = time.perf_counter()
    async with DatabaseEngine(folder / "few.duckdb") as engine:
        await engine.create_all()
        await seed(engine, rows=10_000)
    few = milliseconds(started)
    return [
        Mark("rows of a seed in a second", max(rates), 200_000, "", is_least=True),
        Mark("a seed of 10,000 rows", few, 1_000, "ms"),
    ]


MEASURES: dict[str, Measure] = {
    "backup": backups,
    "restore": restores,
    "seed": seeds,
}
