"""
The query builder: typed queries for objects, one step at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.exc import NoResultFound

from project_architect_db.errors import NotFoundError
from project_architect_db.orm.query_names import grouped
from project_architect_db.orm.query_pages import Page, from_cursor, keys_of, to_cursor
from project_architect_db.orm.query_rows import AggregateQuery
from project_architect_db.orm.query_steps import ModelT, ObjectQuery

OBJECTS_AT_A_TIME = 500


class QueryBuilder(ObjectQuery[ModelT]):
    """
    A query for the objects of a model. It never changes: each step returns a new one.

    Softly deleted rows are left out. Lookups are those of `orm.filters`.

    Args:
        model: A mapped class.
        session: Any `AsyncSession`.

    Example:
        >>> from project_architect_db.orm.query import QueryBuilder
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.session() as session:
        ...         session.add(Project(name="apollo", project_idea="the moon"))
        ...         drafts = QueryBuilder(Project, session).filter(status="draft")
        ...         for project in await drafts.order_by("-created_at").limit(5).all():
        ...             print(project.name)
        apollo
    """

    async def all(self) -> list[ModelT]:
        """
        All objects.
        """
        return list((await self._objects("all", self.statement)).all())

    async def first(self) -> ModelT | None:
        """
        The first object; `None` if there is none.
        """
        found: ModelT | None = (
            await self._objects("first", self.limit(self._at_most_one).statement)
        ).first()
        return found

    async def one(self) -> ModelT:
        """
        The one object there is.

        Raises:
            NotFoundError: There is none.
            MultipleResultsFound: There are several (SQLAlchemy's error).
        """
        try:
            found: ModelT = (await self._objects("one", self.statement)).one()
        except NoResultFound as error:
            raise NotFoundError(model=self._model.__name__) from error
        return found

    async def one_or_none(self) -> ModelT | None:
        """
        The one object there is; `None` if there is none.

        Raises:
            MultipleResultsFound: There are several (SQLAlchemy's error).
        """
        found: ModelT | None = (
            await self._objects("one_or_none", self.statement)
        ).one_or_none()
        return found

    async def scalar(self, column: Any) -> Any:
        """
        The value of one column of the first object; `None` if there is none.

        Args:
            column: ``Model.column``, or a name as in `order_by`.

        Raises:
            UnknownFieldError: There is no such column.
        """
        query = self._with(_loading=(), _limit=self._at_most_one)
        wanted = grouped(self._entities, column)
        statement = query.statement.with_only_columns(
            wanted, maintain_column_froms=True
        )
        return await self._scalar("scalar", statement)

    async def count(self) -> int:
        """
        How many objects there are.
        """
        if self._is_cut:
            statement = select(func.count()).select_from(self._cut.subquery())
        else:
            statement = self._filtered.with_only_columns(
                func.count(), maintain_column_froms=True
            )
        found: int = await self._scalar("count", statement)
        return found

    async def exists(self) -> bool:
        """
        Whether there is any.
        """
        found: bool = await self._scalar("exists", select(self._cut.exists()))
        return found

    async def stream(self) -> AsyncIterator[ModelT]:
        """
        All objects, one after the other, in the memory of a few hundred.
        """
        options = {**self._options("stream"), "yield_per": OBJECTS_AT_A_TIME}
        result = await self._session.stream_scalars(
            self.statement, execution_options=options
        )
        try:
            async for item in result:
                yield item
        finally:
            await result.close()

    async def paginate(
        self, limit: int = 100, *, cursor: str | None = None
    ) -> Page[ModelT]:
        """
        A page in the order of the query, and of the primary key where that is equal.

        Args:
            limit: How many objects.
            cursor: `next_cursor` of the page before.

        Raises:
            InvalidDataError: The cursor is none of this query; the query is ordered by
                something else than columns; or it has limits already.
        """
        if self._is_cut or not self._checked("limit", limit):
            raise self._refusal(
                "limit", limit, "paginate() needs one, and only its own"
            )
        keys = keys_of(self._model, self._order)
        start = None if cursor is None else from_cursor(self._model, keys, cursor)
        order = tuple(key.order for key in keys)
        query = self._with(_limit=limit + 1, _order=order, _after=start)
        found = list((await self._objects("paginate", query.statement)).all())
        if len(found) <= limit:
            return Page(found, has_more=False)
        items = found[:limit]
        return Page(items, has_more=True, next_cursor=to_cursor(keys, items[-1]))

    def aggregate(self, *expressions: Any, **named: Any) -> AggregateQuery:
        """
        Compute something of all these objects: ``total=func.count()``.

        Args:
            expressions: SQL expressions, or lists of them.
            named: Expressions by the name they get in the row.

        Raises:
            UnknownFieldError: A ``json_…`` function names a column that is not there.
            InvalidDataError: The query has a limit, an offset or `distinct`.
        """
        return self.group_by().aggregate(*expressions, **named)

    def group_by(self, *columns: Any) -> AggregateQuery:
        """
        One row for each value of these columns, to be aggregated.

        Args:
            columns: As in `order_by`.

        Raises:
            UnknownFieldError: There is no such column.
            InvalidDataError: The query has a limit, an offset or `distinct`.
        """
        if self._is_cut:
            problem = "aggregates are of all objects; limit() and the like come after"
            raise self._refusal("limit", self._limit, problem)
        query = AggregateQuery(self._session, self._filtered, self._entities)
        return query.group_by(*columns)

    async def _objects(self, method: str, statement: Select[Any]) -> Any:
        result = await self._session.scalars(
            statement, execution_options=self._options(method)
        )
        # Joined collections repeat an object, and so may join(), which is meant then.
        return result if self._is_repeating else result.unique()

    async def _scalar(self, method: str, statement: Select[Any]) -> Any:
        return await self._session.scalar(
            statement, execution_options=self._options(method)
        )
