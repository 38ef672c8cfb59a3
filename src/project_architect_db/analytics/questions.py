"""
Questions: what is asked of the database, before it is asked.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import text

from project_architect_db.analytics.checks import seconds
from project_architect_db.analytics.present import present
from project_architect_db.analytics.reports import Report, RowT, kinds_of
from project_architect_db.analytics.scope import Scope
from project_architect_db.errors import (
    InvalidQuestionError,
    InvalidStatementError,
    InvalidValueError,
)
from project_architect_db.garbage_collector import collector

if TYPE_CHECKING:
    from sqlalchemy import Executable, Select, TextClause
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.analytics.charts import Spec

AnswerT = TypeVar("AnswerT")
ROWS_AT_ONCE = 2_000
"""Made into a report where everything else waits for it: some milliseconds."""

Progress = Callable[[float], object]
"""Called with how far the running statement is, from 0 to 1, as DuckDB estimates."""


class Asker(ABC):
    """
    Who answers questions: an `AnalyticsRepository`.
    """

    @abstractmethod
    async def answer(self, question: Question[AnswerT]) -> AnswerT:
        """
        The answer, which may be one from before that still holds.
        """

    @abstractmethod
    async def part(self, session: AsyncSession, query: Query[RowT]) -> Report[RowT]:
        """
        What a query says of a snapshot, whose session one of its questions has.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Question(Generic[AnswerT]):
    """
    What can be awaited, as often as you like; or watched.

    Attributes:
        name: The method that made it.
        key: Equal for questions that have the same answer.
        tables: What it reads: a commit that wrote none of them changes no answer.
        compute: Asks it of the database.
        sql: What is asked, where it is one statement.
        again: Makes it anew when its minute is over; `None` if it is of no minute.

    Example:
        >>> from project_architect_db.testing import temporary_database
        >>> async with temporary_database() as engine:
        ...     question = AnalyticsRepository(engine).status_distribution()
        ...     print(len(await question), sorted(question.tables))
        0 ['projects']
    """

    asker: Asker
    name: str
    key: tuple[Any, ...]
    tables: frozenset[str]
    compute: Callable[[AsyncSession], Awaitable[AnswerT]]
    sql: str = ""
    max_age: float = 0.0
    limit: float | None = None
    tell: Progress | None = None
    again: Callable[[], Question[AnswerT]] | None = None
    minute: datetime | None = None

    def __await__(self) -> Generator[Any, None, AnswerT]:
        return self.asker.answer(self).__await__()

    def within(self, age: float) -> Question[AnswerT]:
        """
        The same question, where an answer may be that many seconds old.

        For a dashboard that many look at while much is written.
        """
        return replace(self, max_age=seconds("age", age))

    def timeout(self, limit: float) -> Question[AnswerT]:
        """
        The same question, that a `QueryTimeoutError` ends after that many seconds.
        """
        return replace(self, limit=seconds("limit", limit))

    def report_progress(self, tell: Progress) -> Question[AnswerT]:
        """
        The same question, that says how far it is five times a second.
        """
        return replace(self, tell=tell)

    def of_this_minute(self) -> Question[AnswerT]:
        """
        The same question, whose present is now.
        """
        if self.again is None or (minute := present()) == self.minute:
            return self
        return replace(
            self.again(), max_age=self.max_age, limit=self.limit, tell=self.tell,
            again=self.again, minute=minute,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Question {self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Generic[RowT]):
    """
    One statement, and what its rows are.

    Attributes:
        name: The method that asks it.
        title: What it tells, for people.
        sql: With values as ``:name``.
        row: What a row is made into: a `NamedTuple`, whose fields are the columns.
        tables: That are read.
        scope: Has the values for ``:since`` and the like.
        view: How it is shown.
        values: For what else stands in the SQL.
        finish: Makes of the rows what cannot be said in SQL: what is told of times at
            which nothing happened, for example.
        statement: What is executed instead of `sql`, which is its text then; its
            values are in it, and in `values` for the key.
    """

    name: str
    title: str
    sql: str
    row: type[RowT]
    tables: Sequence[str]
    scope: Scope
    view: Spec
    values: Mapping[str, Any] = field(default_factory=dict)
    finish: Callable[[list[RowT]], Sequence[RowT]] | None = None
    statement: Select[Any] | None = None

    def asked_by(self, asker: Asker) -> Question[Report[RowT]]:
        """
        It as a question.
        """
        return Question(
            asker=asker, name=self.name, tables=self.all_tables, compute=self.report,
            key=self.key, sql=self.sql,
        )  # fmt: skip

    @property
    def key(self) -> tuple[Any, ...]:
        """
        Equal for queries that have the same answer.
        """
        values = tuple((name, _hashable(v)) for name, v in self.values.items())
        return self.name, self.sql, self.scope, values

    @property
    def all_tables(self) -> frozenset[str]:
        """
        What is read, that of its scope too.
        """
        more = () if self.scope.statuses is None else ("projects",)
        return frozenset((*self.tables, *more))

    async def report(self, session: AsyncSession) -> Report[RowT]:
        """
        Ask it in a session.
        """
        found = await self.ask(session, {})
        if len(found) <= ROWS_AT_ONCE:
            return self.reported(found)
        # On a thread, so that everybody else goes on in the meantime.
        return await asyncio.to_thread(self.reported, found)

    async def ask(
        self, session: AsyncSession, more: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """
        The rows as the database has them.

        Args:
            session: Where.
            more: Further values for the SQL.
        """
        statement, used = self._statement(more)
        options = {"operation": f"analytics.{self.name}"}
        try:
            result = await session.execute(statement, used, execution_options=options)
        except (InvalidStatementError, InvalidValueError) as error:
            if self.statement is None:
                raise
            raise InvalidQuestionError(
                f"the database does not understand it: {error}",
                argument=_misunderstood(str(error)), value=self.sql,
            ) from error  # fmt: skip
        with collector.paused():
            return result.all()

    def _statement(self, more: Mapping[str, Any]) -> tuple[Executable, dict[str, Any]]:
        if self.statement is not None:
            return self.statement, {}
        statement = _statement(self.sql)
        values = {**self.scope.parameters, **self.values, **more}
        return statement, {name: values[name] for name in statement._bindparams}  # noqa: SLF001 - extra ones are refused

    def reported(self, found: Sequence[tuple[Any, ...]]) -> Report[RowT]:
        """
        The report of such rows.
        """
        with collector.paused():
            rows = self._rows(found)
            if self.finish is not None:
                rows = [*self.finish(rows)]
        return Report(
            name=self.name, title=self.title, rows=tuple(rows), row_type=self.row,
            scope=self.scope, view=self.view,
        )  # fmt: skip

    def _rows(self, found: Sequence[tuple[Any, ...]]) -> list[RowT]:
        make: Any = self.row._make  # type: ignore[attr-defined]
        kinds = list(kinds_of(self.row).values())
        columns = [list(values) for values in zip(*found, strict=True)]
        for number, (kind, values) in enumerate(zip(kinds, columns, strict=False)):
            if kind is datetime:
                columns[number] = self._moments(values)
            elif kind is float:
                columns[number] = [*map(_finite, values)]
            elif kind not in (int, float, str, bool):  # a list
                columns[number] = [v if v is None else tuple(v) for v in values]
        if columns and self.row._fields[0] == "bucket":  # type: ignore[attr-defined]
            # What happened at the time 'infinity' is in none.
            told = zip(*columns, strict=True)
            return [make(row) for row in told if row[0] is not None]
        return [make(row) for row in zip(*columns, strict=True)]

    def _moments(self, values: Sequence[datetime | None]) -> list[datetime | None]:
        """
        Times in the zone; each of them once, as buckets come again and again.
        """
        moment = self.scope.moment
        known = {v: v if v is None else moment(v) for v in dict.fromkeys(values)}
        return [known[value] for value in values]


def _misunderstood(error: str) -> str:
    """
    The argument of a time series that an error is about.
    """
    told = {"GROUP BY clause cannot": "by", "WHERE clause cannot": "where"}
    return next((name for words, name in told.items() if words in error), "metric")


def _finite(value: Any) -> Any:
    """
    A number, unless no JSON could tell it.
    """
    return None if isinstance(value, float) and not isfinite(value) else value


@lru_cache(maxsize=500)
def _statement(sql: str) -> TextClause:
    return text(sql)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
