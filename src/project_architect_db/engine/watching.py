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
def watching(
    engine: DatabaseEngine, tell: Callable[[int, int], object]
) -> Iterator[None]:
    """
    Say how far the statements in the block are, in percent as DuckDB estimates it.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        timer = loop.call_later(LOOK_SECONDS, look)
        for query in engine.running():
            tell(max(0, round(query.progress)), 100)

    timer = loop.call_later(LOOK_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
