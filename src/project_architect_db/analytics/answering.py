"""
How questions are answered: with what is known, or by the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from project_architect_db.analytics.cache import AnswerCache, CacheStatistics
from project_architect_db.analytics.growing import GrowingQuery
from project_architect_db.analytics.questions import (
    AnswerT,
    Asker,
    Progress,
    Query,
    Question,
    seconds,
)
from project_architect_db.analytics.reports import Report, RowT
from project_architect_db.analytics.watching import watch

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

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
        log = await self._log()
        answer: AnswerT
        known = self._cache.known(question.key, log, question.max_age)
        if known is not None:
            self._cache.hits += 1
            (answer,) = known
            return answer

        async def make() -> AnswerT:
            return await self._ask(question, log)

        answer = await self._cache.compute(question.key, question.tables, log, make)
        return answer

    async def part(self, session: AsyncSession, query: Query[RowT]) -> Report[RowT]:
        """
        What a query says of a snapshot: known, grown from what is known, or new.
        """
        log = await self._log()
        report: Report[RowT]
        if (known := self._cache.known(query.key, log)) is not None:
            (report,) = known
            return report
        growth = None
        if isinstance(query, GrowingQuery):
            before = self._cache.grown_from(query.key, log, query.grows)
            report, growth = await query.grown(session, before)
        else:
            report = await query.report(session)
        commit = session.info["commit"]
        self._cache.keep(query.key, report, query.all_tables, commit, growth)
        return report

    def watch(
        self, question: Question[AnswerT], *, every: float = 1.0
    ) -> AsyncGenerator[AnswerT]:
        """
        The answer now, and again after commits that changed it, until you leave.

        Commits that come faster than `every` seconds, or than you take answers, are
        one. Leave with `aclosing`, or cancel the task.

        Example:
            >>> from contextlib import aclosing
            >>> from project_architect_db.testing import temporary_database
            >>> async with temporary_database() as engine:
            ...     analytics = AnalyticsRepository(engine)
            ...     reports = analytics.watch(analytics.status_distribution())
            ...     async with aclosing(reports):
            ...         async for report in reports:
            ...             print(len(report))
            ...             break
            0
        """
        return watch(question, self._log, seconds("every", every))

    async def _log(self) -> CommitLog:
        if self._engine.commits is None:
            await self._engine.open()
        return cast("CommitLog", self._engine.commits)

    async def _ask(self, question: Question[AnswerT], log: CommitLog) -> AnswerT:
        limit = self._timeout if question.limit is None else question.limit
        async with self._turns, self._engine.session() as session:
            # Before it begins: what is read then may be newer, but not older.
            session.info["commit"] = commit = log.sequence
            await session.connection(execution_options={"timeout": limit})
            with _telling(session, question.tell):
                answer = await question.compute(session)
        self._cache.keep(question.key, answer, question.tables, commit)
        return answer


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
