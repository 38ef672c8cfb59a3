"""
How far long statements are, while they run.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from project_architect_db.engine.database import DatabaseEngine

LOOK_SECONDS = 0.2


@contextmanager
def looking(look: Callable[[], object]) -> Iterator[None]:
    """
    Look again and again, while the block runs.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def again() -> None:
        nonlocal timer
        timer = loop.call_later(LOOK_SECONDS, again)
        look()

    timer = loop.call_later(LOOK_SECONDS, again)
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def watching(
    engine: DatabaseEngine, tell: Callable[[int, int], object]
) -> Iterator[None]:
    """
    Say how far the statements in the block are, in percent as DuckDB estimates it.
    """

    def look() -> None:
        for query in engine.running():
            tell(max(0, round(query.progress)), 100)

    with looking(look):
        yield
