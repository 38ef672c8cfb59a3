"""
Queries for rows: aggregates, and what they are grouped by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

from sqlalchemy import ColumnElement, Result, Row, Select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db.errors import NotFoundError
from project_architect_db.orm.filters import unknown
from project_architect_db.orm.query_base import Query
from project_architect_db.orm.query_names import computed, flattened, grouped

AnyValues: TypeAlias = tuple[Any, ...]
AnyRow: TypeAlias = Row[*AnyValues]


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

    def group_by(self, *columns: Any) -> Self:
        """
        One row for each value of these columns, which stand first in it.

        Args:
            columns: Columns, expressions, or names as in `QueryBuilder.order_by`.

        Raises:
            UnknownFieldError: There is no such column.
        """
        found = tuple(grouped(self._entities, column) for column in columns)
        return self._with(_groups=self._groups + found, _columns=self._columns + found)

    def aggregate(self, *expressions: Any, **named: Any) -> Self:
        """
        Compute these, too.

        Args:
            expressions: SQL expressions, or lists of them.
            named: Expressions by the name they get in the row.

        Raises:
            UnknownFieldError: A ``json_…`` function names a column that is not there.
        """
        found = [computed(self._model, given) for given in flattened(expressions)]
        found += [
            computed(self._model, given).label(name) for name, given in named.items()
        ]
        return self._with(_columns=(*self._columns, *found))

    def having(self, *conditions: ColumnElement[bool]) -> Self:
        """
        Only rows that meet these conditions, which may be about aggregates.
        """
        found = tuple(computed(self._model, condition) for condition in conditions)
        return self._with(_having=self._having + found)

    def order_by(self, *columns: Any) -> Self:
        """
        In this order.

        Args:
            columns: Expressions, or names of the row's columns, with a ``-`` before
                them to descend.

        Raises:
            UnknownFieldError: The row has no such column.
        """
        return self._with(
            _order=(*self._order, *(self._ordered(column) for column in columns))
        )

    def _ordered(self, column: Any) -> Any:
        if not isinstance(column, str):
            return computed(self._model, column)
        known = {c.key or c.name: c for c in self._selected.selected_columns}
        name = column.removeprefix("-")
        if name not in known:
            raise unknown(self._model, name, known)
        return known[name].desc() if column.startswith("-") else known[name]

    @property
    def _selected(self) -> Select[Any]:
        return self._source.with_only_columns(
            *self._columns, maintain_column_froms=True
        )

    @property
    def statement(self) -> Select[Any]:
        """
        The query for SQLAlchemy.
        """
        statement = self._selected.group_by(*self._groups).having(*self._having)
        return self._sliced(statement.order_by(*self._order))

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

    async def scalar(self) -> Any:
        """
        The first value of the first row; `None` if there is no row.
        """
        return (
            await self._rows("scalar", self.limit(self._at_most_one).statement)
        ).scalar()

    async def _rows(self, method: str, statement: Select[Any]) -> Result[*AnyValues]:
        options = self._options(method)
        return await self._session.execute(statement, execution_options=options)
