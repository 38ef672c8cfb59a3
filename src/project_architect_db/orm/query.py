"""
The query builder: typed queries for objects, one step at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from sqlalchemy import Select, func, inspect, select
from sqlalchemy.exc import InvalidRequestError, NoResultFound
from sqlalchemy.orm import undefer

from project_architect_db.errors import NotFoundError
from project_architect_db.orm.query_cursors import from_cursor, mark_of, to_cursor
from project_architect_db.orm.query_expressions import require_joined
from project_architect_db.orm.query_loading import in_parts
from project_architect_db.orm.query_names import valued
from project_architect_db.orm.query_pages import Page, keys_of
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
        return list((await self._objects("all", self)).all())

    async def first(self) -> ModelT | None:
        """
        The first object; `None` if there is none.
        """
        found: ModelT | None = (
            await self._objects("first", self.limit(self._at_most_one))
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
            found: ModelT = (await self._objects("one", self)).one()
        except NoResultFound as error:
            raise NotFoundError(model=self._model.__name__) from error
        return found

    async def one_or_none(self) -> ModelT | None:
        """
        The one object there is; `None` if there is none.

        Raises:
            MultipleResultsFound: There are several (SQLAlchemy's error).
        """
        found: ModelT | None = (await self._objects("one_or_none", self)).one_or_none()
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
        wanted = valued(self._entities, column, "scalar")
        require_joined(self._entities, [wanted])
        statement = query.statement.with_only_columns(
            wanted, maintain_column_froms=True
        )
        return await self._scalar("scalar", statement)

    async def count(self) -> int:
        """
        How many objects there are.
        """
        if self._is_cut or self._repeating:
            found = self._cut.with_only_columns(*self._keys, maintain_column_froms=True)
            statement = select(func.count()).select_from(found.subquery())
        else:
            statement = self._filtered.with_only_columns(
                func.count(), maintain_column_froms=True
            )
        count: int = await self._scalar("count", statement)
        return count

    async def exists(self) -> bool:
        """
        Whether there is any.
        """
        found: bool = await self._scalar("exists", select(self._cut.exists()))
        return found

    async def stream(self) -> AsyncIterator[ModelT]:
        """
        All objects, one after the other, in the memory of a few hundred.

        Collections with ``lazy="joined"`` are loaded by a query for each of the parts.

        Raises:
            InvalidDataError: The query has options that load collections by a join.
        """
        options = {**self._options("stream"), "yield_per": OBJECTS_AT_A_TIME}
        parts = self._with(_loading=(*in_parts(self._model), *self._loading))
        result = None
        try:
            result = await self._session.stream_scalars(
                parts.statement, execution_options=options
            )
            async for item in result:
                yield item
        except InvalidRequestError as error:
            if "yield_per" not in str(error):
                raise
            problem = "collections come in parts by load() or selectinload() only"
            raise self._refusal("stream", None, problem) from error
        finally:
            if result is not None:
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
            InvalidDataError: The cursor is none of this query, with this order and
                these filters; the query is ordered by something else than columns; or
                it has limits already.
        """
        if self._is_cut or not self._checked("limit", limit):
            raise self._refusal(
                "limit", limit, "paginate() needs one, and only its own"
            )
        keys = keys_of(self._model, self._order)
        mark = mark_of(self._model, keys, self._filtered)
        start = None if cursor is None else from_cursor(self._model, keys, mark, cursor)
        order = tuple(key.order for key in keys)
        read = tuple(undefer(key.column) for key in keys)
        query = self._with(
            _limit=limit + 1, _order=order, _after=start, _loading=self._loading + read
        )
        found = list((await self._objects("paginate", query)).all())
        if len(found) <= limit:
            return Page(found, has_more=False)
        items = found[:limit]
        following = to_cursor(self._model, keys, mark, items[-1])
        return Page(items, has_more=True, next_cursor=following)

    def aggregate(self, *expressions: Any, **named: Any) -> AggregateQuery:
        """
        Compute something of all these objects: ``total=func.count()``.

        Args:
            expressions: SQL expressions, or lists of them.
            named: Expressions by the name they get in the row.

        Raises:
            UnknownFieldError: A ``json_…`` function names a column that is not there.
            InvalidDataError: There is no expression, or the query has a limit, an
                offset or `distinct`.
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

    async def _objects(self, method: str, query: Self) -> Any:
        options = self._options(method)
        session = self._session.sync_session
        if (
            query._loaded and session.autoflush
        ):  # or it would forget what is not flushed
            names = set(query._loaded)
            seen = [
                each
                for each in session.identity_map.values()
                if isinstance(each, self._model) and not names.isdisjoint(vars(each))
            ]
            if seen:
                await self._forget(query, seen, options)
        result = await self._session.scalars(query.statement, execution_options=options)
        return result.unique()  # joined collections repeat an object

    async def _forget(
        self, query: Self, seen: Sequence[Any], options: dict[str, Any]
    ) -> None:
        """
        Expire what is to be loaded anew; SQLAlchemy leaves alone what is loaded.
        """
        statement = query._with(_loading=()).statement.with_only_columns(
            *self._keys, maintain_column_froms=True
        )
        rows = await self._session.execute(statement, execution_options=options)
        keys = {tuple(row) for row in rows}
        for each in seen:
            if inspect(each).identity in keys:
                self._session.expire(each, query._loaded)

    @property
    def _exported(self) -> Sequence[tuple[str, Any]]:
        """
        Each attribute once; a model with a parent has columns of two tables.
        """
        return [
            (attribute.key, getattr(self._model, attribute.key))
            for attribute in inspect(self._model).column_attrs
        ]

    async def _scalar(self, method: str, statement: Select[Any]) -> Any:
        return await self._session.scalar(
            statement, execution_options=self._options(method)
        )
