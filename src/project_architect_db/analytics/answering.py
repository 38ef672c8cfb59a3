"""
How questions are answered: with what is known, or by the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import text

from project_architect_db.analytics.cache import AnswerCache, CacheStatistics
from project_architect_db.analytics.checks import require_count, seconds
from project_architect_db.analytics.flights import FlightsOfLoops
from project_architect_db.analytics.growing import GrowingQuery
from project_architect_db.analytics.questions import (
    AnswerT,
    Asker,
    Progress,
    Query,
    Question,
)
from project_architect_db.analytics.reports import Report, RowT
from project_architect_db.analytics.watching import watch
from project_architect_db.dialect.commit_log import EVERYTHING
from project_architect_db.domain.models import (
    Activity,
    Conversation,
    Document,
    Project,
    Repository,
)
from project_architect_db.engine.watching import looking

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.dialect.commit_log import CommitLog
    from project_architect_db.engine import ArchitectSession, DatabaseEngine

TIMEOUT = 60.0
"""Seconds, unless told otherwise."""

AT_ONCE = 2
"""Questions that the database works on: each of them uses all of its threads."""


OWN_TABLES = frozenset(
    model.__tablename__
    for model in (Activity, Conversation, Document, Project, Repository)
)
"""Which are no views."""

_VIEWS = "SELECT view_name FROM duckdb_views() WHERE NOT internal"


@dataclass(slots=True)
class Snapshot:
    """
    What a question reads.

    Attributes:
        commit: The last commit that is certainly in it.
        may_reuse: Whether parts may be answered with what is known.
        reused: The tables of parts that were.
    """

    commit: int
    may_reuse: bool
    reused: set[str] = field(default_factory=set)


class Answering(Asker):
    """
    Answers questions about the database of an engine; see `AnalyticsRepository`.
    """

    def __init__(
        self, engine: DatabaseEngine, *, timeout: float | None = TIMEOUT,
        at_once: int = AT_ONCE, cache: AnswerCache | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._timeout = None if timeout is None else seconds("timeout", timeout)
        self._flights = FlightsOfLoops(require_count("at_once", at_once, most=1_000))
        self._cache = AnswerCache() if cache is None else cache
        self._views: tuple[CommitLog | None, int, frozenset[str]] = None, 0, frozenset()

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
        question, log = question.of_this_minute(), await self._log()
        answer: AnswerT
        known = self._cache.known(question.key, log, question.max_age)
        if known is not None:
            self._cache.hits += 1
            (answer,) = known
            return answer
        question = replace(question, tables=await self._read_by(question, log))
        flights = self._flights.here()
        # Who has no patience must not end it for others, nor wait as long as they do.
        key = question.key, question.limit
        flight = flights.joined(key, question.tables, log)
        if flight is None:
            self._cache.misses += 1
            make = partial(self._ask, question, log, flights.turns)
            flight = flights.begin(key, log, make)
        else:
            self._cache.joined += 1
        answer = await flights.wait(key, flight, question.tell)
        return answer

    async def part(self, session: AsyncSession, query: Query[RowT]) -> Report[RowT]:
        """
        What a query says of a snapshot: known, grown from what is known, or new.
        """
        log, snapshot = await self._log(), session.info["snapshot"]
        report: Report[RowT]
        if snapshot.may_reuse:
            known = self._cache.known(query.key, log, seen=snapshot.commit)
            if known is not None:
                snapshot.reused |= query.all_tables
                (report,) = known
                return report
        growth = None
        if isinstance(query, GrowingQuery):
            before = self._cache.grown_from(query.key, log, query.grows)
            report, growth = await query.grown(session, before)
        else:
            report = await query.report(session)
        self._cache.keep(query.key, report, query.all_tables, snapshot.commit, growth)
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

    async def _read_by(self, question: Question[Any], log: CommitLog) -> frozenset[str]:
        """
        The tables of a question; what a view reads is anybody's guess.
        """
        if question.tables <= OWN_TABLES:
            return question.tables
        ddl = log.last_write(())  # it is SQL of unknown effect
        if self._views[:2] != (log, ddl):
            async with self._engine.session() as session:
                found = await session.scalars(text(_VIEWS))
            self._views = log, ddl, frozenset(found)
        seen_through = bool(question.tables & self._views[2])
        return question.tables | ({EVERYTHING} if seen_through else set())

    async def _ask(
        self, question: Question[AnswerT], log: CommitLog, turns: asyncio.Semaphore,
        tell: Progress,
    ) -> AnswerT:  # fmt: skip
        async with turns:
            answer, snapshot = await self._read(question, log, tell)
            late = log.last_write(snapshot.reused) > snapshot.commit
            if snapshot.reused and late:
                # The snapshot may have what its reused parts have not.
                alone = self._read(question, log, tell, may_reuse=False)
                answer, snapshot = await alone
            self._cache.keep(question.key, answer, question.tables, snapshot.commit)
            return answer

    async def _read(
        self, question: Question[AnswerT], log: CommitLog, tell: Progress, *,
        may_reuse: bool = True,
    ) -> tuple[AnswerT, Snapshot]:  # fmt: skip
        limit = self._timeout if question.limit is None else question.limit
        async with self._engine.session() as session:
            # Before it begins: what is read then may be newer, but not older.
            snapshot = Snapshot(log.sequence, may_reuse)
            session.info["snapshot"] = snapshot
            await session.connection(execution_options={"timeout": limit})
            with _telling(session, tell):
                return await question.compute(session), snapshot


@contextmanager
def _telling(session: ArchitectSession, tell: Progress) -> Iterator[None]:
    """
    Say how far the statements in the block are.
    """

    def look() -> None:
        if (progress := session.progress) is not None:
            tell(progress / 100)

    with looking(look):
        yield
