"""
A process is killed while it commits: what it was told is written is written.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest
from concurrency_support import Model, Note
from sqlalchemy import func, select

from project_architect_db import DatabaseEngine

WRITER = Path(__file__).with_name("killed_writer.py")
KILLS = [
    pytest.param(2, id="a few"),
    pytest.param(50, id="full", marks=[pytest.mark.storm, pytest.mark.timeout(900)]),
]


def killed_after(lines: int, path: Path, first: int) -> list[str]:
    """
    Let a process write until it has acknowledged so many, and kill it at once.
    """
    process = subprocess.Popen(
        [sys.executable, WRITER, path, str(first)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        acknowledged = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        acknowledged += process.stdout.readlines()
    return [line.strip() for line in acknowledged if line.endswith("\n")]


async def read(path: Path) -> tuple[set[str], int]:
    """
    What the next process finds: the rows, and those that came in one transaction.
    """
    async with (
        DatabaseEngine(path, metadata=Model.metadata) as engine,
        engine.session() as session,
    ):
        rows = set(await session.scalars(select(Note.body)))
        pairs = await session.scalar(
            select(func.count()).where(Note.body.endswith("second half"))
        )
        return rows, pairs or 0


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
def test_no_acknowledged_row_is_missing_after_a_kill(path, kills):
    chance = random.Random(kills)
    acknowledged: set[str] = set()
    for number in range(kills):
        lines = killed_after(chance.randrange(1, 300), path, number * 1_000_000)
        assert lines
        acknowledged.update(lines)

        rows, pairs = asyncio.run(read(path))

        assert acknowledged - rows == set()
        assert len(rows) == 2 * pairs
