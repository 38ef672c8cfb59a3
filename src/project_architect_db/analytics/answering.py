"""
How questions are answered: with what is known, or by the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from project_architect_db.analytics.cache import AnswerCache, CacheStatistics
from project_architect_db.analytics.questions import AnswerT, Asker, Progress, Question
from project_architect_db.analytics.watching import watch

if TYPE_CHECKING:
    from project_architect_db.dialect.commit_log import CommitLog
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

TIMEOUT = 60.0
"""Seconds, unless told otherwise."""

AT_ONCE = 2
"""Questions that the database works on: each of them uses all of its threads."""

LOOK_SECONDS = 0.2


class Answering(Asker):
    """
    Answers questions about the database of an engine; see `AnalyticsRepository`.
    """

    def __init__(
        self, engine: DatabaseEngine, *, timeout: float | None = TIMEOUT,
        at_once: int = AT_ONCE, cache: AnswerCache | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._timeout = timeout
        self._turns = asyncio.Semaphore(at_once)
        self._cache = cache or AnswerCache()

    @property
    def statistics(self) -> CacheStatistics:
        """
        What became of questions so far.
        """
        return self._cache.statistics

    def clear(self) -> None:
        """
        Forget all answers.
        """
        self._cache.clear()

    async def answer(self, question: Question[AnswerT]) -> AnswerT:
        """
        Answer a question; awaiting it does the same.

        Raises:
            QueryTimeoutError: It took too long.
        """
        log = self._engine.commits or await self._opened()
        known = self._cache.known(question.key, log, question.max_age)
        answer: AnswerT
        if known is not None:
            (answer,) = known
            return answer

        async def make() -> AnswerT:
            return await self._ask(question)

        answer = await self._cache.compute(question.key, question.tables, log, make)
        return answer

    async def watch(
        self, question: Question[AnswerT], *, every: float = 1.0
    ) -> AsyncIterator[AnswerT]:
        """
        The answer now, and again after commits that changed it, until you leave.

        Commits that come faster than `every` seconds, or than you take answers, are
        one. Leave with `aclosing`, or cancel the task.
        """
        log = self._engine.commits or await self._opened()
        async for answer in watch(question, log, every):
            yield answer

    async def _opened(self) -> CommitLog:
        await self._engine.open()
        log = self._engine.commits
        assert log is not None  # noqa: S101 - it is open
        return log

    async def _ask(self, question: Question[AnswerT]) -> AnswerT:
        limit = self._timeout if question.limit is None else question.limit
        async with self._turns, self._engine.session() as session:
            await session.connection(execution_options={"timeout": limit})
            with _telling(session, question.tell):
                return await question.compute(session)


@contextmanager
def _telling(session: ArchitectSession, tell: Progress | None) -> Iterator[None]:
    """
    Say how far the statements in the block are.
    """
    if tell is None:
        yield
        return
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        timer = loop.call_later(LOOK_SECONDS, look)
        if (progress := session.progress) is not None:
            tell(progress / 100)

    timer = loop.call_later(LOOK_SECONDS, look)
    try:
        yield
    finally:
        timer.cancel()
