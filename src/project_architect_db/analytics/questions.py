"""
Questions: what is asked of the database, before it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import text

from project_architect_db.analytics.reports import Report, RowT, kinds_of
from project_architect_db.analytics.scope import Scope
from project_architect_db.errors import InvalidQuestionError

if TYPE_CHECKING:
    from sqlalchemy import TextClause
    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.analytics.charts import Spec

AnswerT = TypeVar("AnswerT")
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

    Example:
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

    def __await__(self) -> Generator[Any, None, AnswerT]:
        return self.asker.answer(self).__await__()

    def within(self, seconds: float) -> Question[AnswerT]:
        """
        The same question, where an answer may be that old.

        For a dashboard that many look at while much is written.
        """
        return replace(self, max_age=_seconds("seconds", seconds))

    def timeout(self, seconds: float) -> Question[AnswerT]:
        """
        The same question, that is stopped after so long with a `QueryTimeoutError`.
        """
        return replace(self, limit=_seconds("seconds", seconds))

    def report_progress(self, tell: Progress) -> Question[AnswerT]:
        """
        The same question, that says how far it is five times a second.
        """
        return replace(self, tell=tell)

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

    def asked_by(self, asker: Asker) -> Question[Report[RowT]]:
        """
        It as a question.
        """
        tables = frozenset(self.tables)
        if self.scope.statuses is not None:
            tables |= {"projects"}
        values = tuple((name, _hashable(v)) for name, v in self.values.items())
        return Question(
            asker=asker, name=self.name, tables=tables, compute=self.report,
            key=(self.name, self.sql, self.scope, values), sql=self.sql,
        )  # fmt: skip

    async def report(self, session: AsyncSession) -> Report[RowT]:
        """
        Ask it in a session.
        """
        statement = _statement(self.sql)
        values = {**self.scope.parameters, **self.values}
        used = {name: values[name] for name in statement._bindparams}  # noqa: SLF001 - extra ones are refused
        result = await session.execute(
            statement, used, execution_options={"operation": f"analytics.{self.name}"}
        )
        rows = self._rows(result.all())
        if self.finish is not None:
            rows = [*self.finish(rows)]
        return Report(
            name=self.name, title=self.title, rows=tuple(rows), row_type=self.row,
            scope=self.scope, view=self.view,
        )  # fmt: skip

    def _rows(self, found: Sequence[Any]) -> list[RowT]:
        make: Any = self.row._make  # type: ignore[attr-defined]
        kinds = list(kinds_of(self.row).values())
        columns = [list(values) for values in zip(*found, strict=True)]
        for number, (kind, values) in enumerate(zip(kinds, columns, strict=False)):
            if kind is datetime:
                moment = self.scope.moment
                columns[number] = [v if v is None else moment(v) for v in values]
            elif kind not in (int, float, str, bool):  # a list
                columns[number] = [v if v is None else tuple(v) for v in values]
        return [make(values) for values in zip(*columns, strict=True)]


@lru_cache(maxsize=500)
def _statement(sql: str) -> TextClause:
    return text(sql)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _seconds(argument: str, value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < float("inf"):
        raise InvalidQuestionError(
            f"expected a number of seconds, not {value!r}",
            argument=argument, value=value,
        )  # fmt: skip
    return float(value)
