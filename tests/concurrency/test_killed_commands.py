"""
Commands that are killed: the database opens, and no half file has a name.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from project_architect_db import DatabaseEngine, verify_backup
from project_architect_db.testing import seed

COMMAND = [sys.executable, "-m", "project_architect_db"]
ROWS = 30_000
TABLES = ("projects", "conversations", "repositories", "documents", "activity")

KILLS = [
    pytest.param(2, id="a few", marks=pytest.mark.slow),
    pytest.param(20, id="full", marks=[pytest.mark.storm, pytest.mark.timeout(900)]),
]


async def make(path: Path, rows: int = ROWS, number: int = 0) -> None:
    """
    A database with seeded rows.
    """
    async with DatabaseEngine(path) as engine:
        await engine.create_all()
        await seed(engine, rows=rows, seed=number)


async def content(path: Path) -> dict[str, tuple[int, int]]:
    """
    Of each table, how many rows it has and a sum over all their values.
    """
    found = {}
    async with DatabaseEngine(path) as engine, engine.session() as session:
        for table in TABLES:
            sql = f"SELECT count(*), coalesce(sum(hash({table})), 0) FROM {table}"
            found[table] = tuple((await session.execute(text(sql))).one())
    return found


def seconds_of(arguments: list[str], folder: Path) -> float:
    """
    Run a command to its end, and tell how long it took.
    """
    started = time.monotonic()
    subprocess.run([*COMMAND, *arguments], cwd=folder, check=True, capture_output=True)
    return time.monotonic() - started


def kill(arguments: list[str], folder: Path, after: float) -> None:
    """
    Run a command, and kill it after so many seconds.
    """
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        time.sleep(after)
        process.kill()


def moments(kills: int, seconds: float) -> list[float]:
    """
    When to kill: over the second half of what a command takes, where it does its work.
    """
    chance = random.Random(kills)
    return [seconds * chance.uniform(0.4, 1.05) for _ in range(kills)]


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_backup_leaves_none_or_a_whole_one(tmp_path, kills):
    asyncio.run(make(tmp_path / "app.duckdb"))
    before = asyncio.run(content(tmp_path / "app.duckdb"))
    command = ["backup", "copy.duckdb", "--overwrite", "-d", "app.duckdb"]
    seconds = seconds_of(command, tmp_path)
    for moment in moments(kills, seconds):
        for file in tmp_path.glob("copy.duckdb*"):
            file.unlink()
        kill(command, tmp_path, moment)
        assert asyncio.run(content(tmp_path / "app.duckdb")) == before
        if (tmp_path / "copy.duckdb").exists():
            asyncio.run(verify_backup(tmp_path / "copy.duckdb"))
    seconds_of(command, tmp_path)
    assert asyncio.run(content(tmp_path / "copy.duckdb")) == before
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"app.duckdb", "copy.duckdb", "copy.duckdb.json"}


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_restore_leaves_the_old_content_or_the_new(tmp_path, kills):
    asyncio.run(make(tmp_path / "app.duckdb"))
    seconds_of(["backup", "copy.duckdb", "-d", "app.duckdb"], tmp_path)
    new = asyncio.run(content(tmp_path / "app.duckdb"))
    asyncio.run(make(tmp_path / "other.duckdb", rows=500, number=1))
    old = asyncio.run(content(tmp_path / "other.duckdb"))
    other = (tmp_path / "other.duckdb").read_bytes()
    command = ["restore", "copy.duckdb", "-d", "app.duckdb"]
    seconds = seconds_of(command, tmp_path)
    for moment in moments(kills, seconds):
        for file in tmp_path.glob("app*"):
            file.unlink()
        (tmp_path / "app.duckdb").write_bytes(other)
        kill(command, tmp_path, moment)
        assert asyncio.run(content(tmp_path / "app.duckdb")) in (old, new)
    seconds_of(command, tmp_path)
    assert asyncio.run(content(tmp_path / "app.duckdb")) == new
    assert [*tmp_path.glob(".*")] == []


@pytest.mark.parametrize("kills", KILLS)
def test_a_killed_seed_is_completed_by_the_next(tmp_path, kills):
    asyncio.run(make(tmp_path / "whole.duckdb"))
    whole = asyncio.run(content(tmp_path / "whole.duckdb"))
    command = ["seed", "--scale", str(ROWS), "-d", "app.duckdb"]
    seconds_of(["init", "-d", "app.duckdb"], tmp_path)
    empty = (tmp_path / "app.duckdb").read_bytes()
    seconds = seconds_of(command, tmp_path)
    for moment in moments(kills, seconds):
        for file in tmp_path.glob("app.duckdb*"):
            file.unlink()
        (tmp_path / "app.duckdb").write_bytes(empty)
        kill(command, tmp_path, moment)
        found = asyncio.run(content(tmp_path / "app.duckdb"))
        assert found == whole or set(found.values()) == {(0, 0)}
        seconds_of(command, tmp_path)
        assert asyncio.run(content(tmp_path / "app.duckdb")) == whole
