"""
Answers that follow what is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from project_architect_db.analytics.questions import AnswerT, Question

if TYPE_CHECKING:
    from project_architect_db.dialect.commit_log import CommitLog


async def watch(
    question: Question[AnswerT],
    log_of: Callable[[], Awaitable[CommitLog]],
    every: float,
) -> AsyncGenerator[AnswerT]:
    """
    The answer now, and again whenever commits have changed it.

    Args:
        question: What to ask.
        log_of: Gives the commits of the database, and opens it first.
        every: Seconds between two answers at least: all commits of that time are one.
    """
    loop, committed = asyncio.get_running_loop(), asyncio.Event()
    log = await log_of()
    stop = log.listen(lambda: _wake(loop, committed))
    try:
        answer = await question
        yield answer
        asked = time.monotonic()
        while True:
            await committed.wait()
            await asyncio.sleep(max(0.0, asked + every - time.monotonic()))
            committed.clear()
            before, asked = answer, time.monotonic()
            answer = await question
            if answer != before:
                yield answer
    finally:
        stop()


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop may be closed, which is no writer's concern
        loop.call_soon_threadsafe(event.set)
