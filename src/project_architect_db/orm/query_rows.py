"""
Queries for rows: aggregates, and what they are grouped by.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

from sqlalchemy import ColumnElement, Result, Row, Select, func, select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db.errors import NotFoundError
from project_architect_db.orm.query_base import Query
from project_architect_db.orm.query_expressions import (
    as_grouped,
    computed,
    flattened,
    require_joined,
)
from project_architect_db.orm.query_fields import unknown
from project_architect_db.orm.query_names import grouped, labelled

AnyValues: TypeAlias = tuple[Any, ...]
AnyRow: TypeAlias = Row[*AnyValues]

ROWS_AT_A_TIME = 500


class AggregateQuery(Query):
    """
    A query for computed rows; `QueryBuilder.aggregate` and `group_by` make one.

    Example:
        >>> from project_architect_db.orm.query import QueryBuilder
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.session() as session:
        ...         projects = QueryBuilder(Project, session)
        ...         by_status = projects.group_by("status").aggregate(n=func.count())
        ...         print(await by_status.order_by("-n").all())
        []
    """

    def __init__(
        self, session: AsyncSession, source: Select[Any], entities: Mapping[str, Any]
    ) -> None:
        super().__init__(entities[""], session)
        self._source = source
        self._entities = entities
        self._columns: tuple[Any, ...] = ()
        self._groups: tuple[Any, ...] = ()
        self._having: tuple[Any, ...] = ()
        self._order: tuple[Any, ...] = ()
        self._is_distinct = False

    def group_by(self, *columns: Any) -> Self:
        """
        One row for each value of these columns, which stand first in it.

        Args:
            columns: Columns, expressions, or names as in `QueryBuilder.order_by`,
                which are those of the row's columns then.

        Raises:
            UnknownFieldError: There is no such column.
            InvalidDataError: It is neither a column nor a name.
        """
        given = flattened(columns)
        found = tuple(grouped(self._entities, column) for column in given)
        return self._with(_groups=self._groups + found, _columns=self._columns + found)

    def aggregate(self, *expressions: Any, **named: Any) -> Self:
        """
        Compute these, too.

        Args:
            expressions: SQL expressions, or lists of them.
            named: Expressions by the name they get in the row.

        Raises:
            UnknownFieldError: A ``json_…`` function names a column that is not there.
            InvalidDataError: There is no expression, or SQL cannot have such a name.
        """
        if not expressions and not named:
            problem = "it needs an expression such as func.count()"
            raise self._refusal("aggregate", None, problem)
        found = [computed(self._model, given) for given in flattened(expressions)]
        found += [
            labelled(self._model, computed(self._model, given), name)
            for name, given in named.items()
        ]
        return self._with(_columns=(*self._columns, *found))

    def having(self, *conditions: ColumnElement[bool]) -> Self:
        """
        Only rows that meet these conditions, which may be about aggregates.
        """
        example = "func.count() > 1"
        found = tuple(
            computed(self._model, condition, field="having", example=example)
            for condition in conditions
        )
        return self._with(_having=self._having + found)

    def distinct(self) -> Self:
        """
        Rows that are equal come once.
        """
        return self._with(_is_distinct=True)

    def order_by(self, *columns: Any) -> Self:
        """
        In this order.

        Args:
            columns: Expressions, or names of the row's columns, with a ``-`` before
                them to descend.

        Raises:
            UnknownFieldError: The row has no such column.
        """
        found = (self._ordered(column) for column in flattened(columns))
        return self._with(_order=(*self._order, *found))

    def _ordered(self, column: Any) -> Any:
        if not isinstance(column, str):
            example = "func.count(), or a name"
            return computed(self._model, column, field="order_by", example=example)
        known = {c.key or c.name: c for c in self._selected.selected_columns}
        name = column.removeprefix("-")
        if name not in known:
            raise unknown(self._model, name, known)
        return known[name].desc() if column.startswith("-") else known[name]

    @property
    def _selected(self) -> Select[Any]:
        columns = (as_grouped(self._groups, column) for column in self._columns)
        return self._source.with_only_columns(*columns, maintain_column_froms=True)

    @property
    def statement(self) -> Select[Any]:
        """
        The query for SQLAlchemy.
        """
        order = (as_grouped(self._groups, column) for column in self._order)
        return self._sliced(self._unordered.order_by(*order))

    @property
    def _unordered(self) -> Select[Any]:
        used = (*self._columns, *self._having, *self._order)
        require_joined(self._entities, used)
        if not self._columns:
            problem = "there is nothing in the row; name columns or expressions"
            raise self._refusal("group_by", None, problem)
        having = (as_grouped(self._groups, condition) for condition in self._having)
        found = self._selected.group_by(*self._groups).having(*having)
        return found.distinct() if self._is_distinct else found

    async def all(self) -> Sequence[AnyRow]:
        """
        All rows.
        """
        return (await self._rows("all", self.statement)).all()

    async def first(self) -> AnyRow | None:
        """
        The first row; `None` if there is none.
        """
        return (
            await self._rows("first", self.limit(self._at_most_one).statement)
        ).first()

    async def one(self) -> AnyRow:
        """
        The one row there is.

        Raises:
            NotFoundError: There is none.
            MultipleResultsFound: There are several (SQLAlchemy's error).
        """
        try:
            return (await self._rows("one", self.statement)).one()
        except NoResultFound as error:
            raise NotFoundError(model=self._model.__name__) from error

    async def one_or_none(self) -> AnyRow | None:
        """
        The one row there is; `None` if there is none.

        Raises:
            MultipleResultsFound: There are several (SQLAlchemy's error).
        """
        return (await self._rows("one_or_none", self.statement)).one_or_none()

    async def scalar(self) -> Any:
        """
        The first value of the first row; `None` if there is no row.
        """
        return (
            await self._rows("scalar", self.limit(self._at_most_one).statement)
        ).scalar()

    async def count(self) -> int:
        """
        How many rows there are.
        """
        found = self._sliced(self._unordered).subquery()
        statement = select(func.count()).select_from(found)
        count: int = (await self._rows("count", statement)).scalar_one()
        return count

    async def exists(self) -> bool:
        """
        Whether there is any.
        """
        statement = select(self._sliced(self._unordered).exists())
        found: bool = (await self._rows("exists", statement)).scalar_one()
        return found

    async def stream(self) -> AsyncIterator[AnyRow]:
        """
        All rows, one after the other, in the memory of a few hundred.
        """
        options = {**self._options("stream"), "yield_per": ROWS_AT_A_TIME}
        result = await self._session.stream(self.statement, execution_options=options)
        try:
            async for row in result:
                yield row
        finally:
            await result.close()

    async def _rows(self, method: str, statement: Select[Any]) -> Result[*AnyValues]:
        options = self._options(method)
        return await self._session.execute(statement, execution_options=options)
