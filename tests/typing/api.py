"""
What mypy has to know about the public API; checked by `mypy`, never run.
"""

from __future__ import annotations

from typing import assert_type

from sqlalchemy import select

from project_architect_db import (
    ArchitectSession,
    DatabaseEngine,
    Health,
    Project,
    RunningQuery,
    run,
)


async def engine_and_sessions(engine: DatabaseEngine) -> None:
    """
    Sessions are typed, and so are their results.
    """
    async with engine as opened:
        assert_type(opened, DatabaseEngine)
    async with engine.session() as session:
        assert_type(session, ArchitectSession)
        assert_type((await session.scalars(select(Project))).one(), Project)
        assert_type(await session.get(Project, 1), Project | None)
        assert_type(session.progress, float | None)
    async with engine.transaction() as transaction:
        assert_type(transaction, ArchitectSession)
    assert_type(await engine.health(), Health)
    assert_type(engine.stats(), dict[str, float])
    assert_type(engine.running(), list[RunningQuery])


async def results_of_transactions(engine: DatabaseEngine) -> None:
    """
    `run_in_transaction` returns what the function does.
    """

    async def count(session: ArchitectSession) -> int:
        return len((await session.scalars(select(Project))).all())

    assert_type(await engine.run_in_transaction(count, retries=5), int)


async def _answer() -> int:
    return 42


def running() -> None:
    """
    `run` returns what the coroutine does.
    """
    assert_type(run(_answer()), int)
