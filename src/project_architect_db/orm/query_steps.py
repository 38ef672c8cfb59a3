"""
Which objects a query is for, and in what order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Date, Select, false, inspect, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute, aliased
from sqlalchemy.orm.interfaces import ORMOption

from project_architect_db.orm.filters import (
    DEEPEST_GROUP,
    Where,
    all_of,
    conditions,
    json_condition,
)
from project_architect_db.orm.query_base import Query
from project_architect_db.orm.query_expressions import (
    flattened,
    require_joined,
    tables_in,
    tables_of,
)
from project_architect_db.orm.query_fields import (
    column_of,
    fields,
    hiding,
    unknown,
    visible,
)
from project_architect_db.orm.query_loading import seen, selected
from project_architect_db.orm.query_names import ordered, valued
from project_architect_db.orm.query_operators import is_text
from project_architect_db.orm.query_pages import after, keys_of
from project_architect_db.orm.query_values import day_from

ModelT = TypeVar("ModelT")


class ObjectQuery(Query, Generic[ModelT]):
    """
    A query for the objects of a model, without the methods that run it.
    """

    _model: type[ModelT]

    def __init__(self, model: type[ModelT], session: AsyncSession) -> None:
        super().__init__(model, session)
        self._where: tuple[Any, ...] = ()
        self._entities: Mapping[str, Any] = {"": model}
        self._joins: tuple[tuple[Any, bool], ...] = ()
        self._repeating: tuple[Any, ...] = ()
        self._order: tuple[Any, ...] = ()
        self._distinct: tuple[Any, ...] | None = None
        self._loading: tuple[ORMOption, ...] = ()
        self._loaded: tuple[str, ...] = ()
        self._after: tuple[Any, ...] | None = None
        self._with_deleted = False

    def filter(self, *conditions: Where, **lookups: Any) -> Self:
        """
        Only objects that meet all of these conditions.

        Args:
            conditions: SQLAlchemy's, or groups made by `any_of` and the like.
            lookups: Such as ``status="active"`` or ``project__name__ilike="a%"``.

        Raises:
            UnknownFieldError: There is no such field or operator.
            InvalidDataError: A value does not fit its field, or it is no condition.
        """
        group = all_of(*conditions, **lookups)
        if group.depth > DEEPEST_GROUP:
            problem = f"groups are nested at most {DEEPEST_GROUP} deep"
            raise self._refusal("filter", None, problem)
        found = group.on(self._model, include_deleted=self._with_deleted)
        return self._with(_where=(*self._where, found))

    def exclude(self, *conditions: Where, **lookups: Any) -> Self:
        """
        Leave out objects that meet all of these conditions; without any, none.
        """
        if not conditions and not lookups:
            return self
        return self.filter(~all_of(*conditions, **lookups))

    def search(self, text: str, *names: str) -> Self:
        """
        Only objects with this text in one of these fields, upper or lower case.

        Args:
            text: What to look for; with an empty one, nothing is left out.
            names: Fields of text; without any, all there are.
        """
        named = flattened(names)
        if not named:
            columns = inspect(self._model).column_attrs.keys()
            named = [n for n in columns if is_text(getattr(self._model, n))]
        found = [conditions(self._model, {f"{n}__icontains": text})[0] for n in named]
        return self.filter(or_(false(), *found)) if text else self

    def filter_by_date_range(
        self, field: Any, start: dt.date | str | None, end: dt.date | str | None
    ) -> Self:
        """
        Only objects with ``start <= field < end``; `None` leaves a side open.

        Args:
            field: A date or a time, by name or as ``Model.field``.
            start: A `date` or `datetime`. A date is its midnight, and a time without
                a zone is in UTC.
            end: Likewise; it is not part of the range any more.
        """
        name = self._name(field)
        is_date = isinstance(column_of(self._model, name).type, Date)
        bounds = {f"{name}__gte": start, f"{name}__lt": end}
        return self.filter(
            **{
                lookup: day_from(bound) if is_date else bound
                for lookup, bound in bounds.items()
                if bound is not None
            }
        )

    def filter_json(
        self, column: Any, path: str, value: Any, op: str = "exact"
    ) -> Self:
        """
        Only objects whose JSON has such a value at this path.

        Args:
            column: A JSON column, by name or as ``Model.column``.
            path: Such as ``$.key``, ``$."any key"``, ``$.list[0]`` or ``$.list[-1]``;
                with ``[*]`` in it, one of the items has to have it.
            value: Text, a number, a boolean, `None` (null, or missing), a list, a dict.
            op: An operator, as in lookups.

        Raises:
            InvalidDataError: The path is wrong, or the value.
        """
        name = self._name(column)
        return self.filter(json_condition(self._model, name, path, op, value))

    def include_deleted(self) -> Self:
        """
        Softly deleted rows, too; those of related models in the steps that follow.
        """
        return self._with(_with_deleted=True)

    def join(self, relationship: Any, *, outer: bool = False) -> Self:
        """
        Join related rows, to filter and order by their columns.

        Each object comes once, where the first of its related rows is in the order;
        aggregates are of all of them. To filter by related rows,
        ``filter(documents__title="x")`` needs no join.

        Args:
            relationship: ``Model.relationship``, or its name; ``project__owner`` goes
                on from ``project``, joined before.
            outer: Keep objects without a related row.
        """
        path = self._path(relationship)
        if path and path in self._entities:
            return self
        before, _, name = path.rpartition("__")
        parent = self._entities.get(before)
        known = inspect(parent).mapper.relationships if parent else {}
        if name not in known:
            raise unknown(self._model, path, inspect(self._model).relationships.keys())
        target: Any = known[name].mapper.class_
        if target in self._entities.values():
            target = aliased(target)
        along = seen(
            getattr(parent, name).of_type(target), target,
            include_deleted=self._with_deleted,
        )  # fmt: skip
        is_repeating = known[name].uselist or parent in self._repeating
        return self._with(
            _entities={**self._entities, path: target},
            _joins=(*self._joins, (along, outer)),
            _repeating=(*self._repeating, *([target] if is_repeating else [])),
        )

    def _path(self, relationship: Any) -> str:
        """
        The path of a relationship, from the model on.
        """
        if isinstance(relationship, QueryableAttribute):
            owner = relationship.parent.mapper
            for path, entity in self._entities.items():
                if inspect(entity).mapper.isa(owner):
                    return f"{path}__{relationship.key}".removeprefix("__")
        return str(relationship)

    def _name(self, column: Any) -> str:
        """
        The name of a column of the model.
        """
        if not isinstance(column, QueryableAttribute):
            return str(column)
        if inspect(self._model).isa(column.parent.mapper):
            return column.key
        raise unknown(self._model, str(column), fields(self._model))

    def order_by(self, *columns: Any) -> Self:
        """
        In this order, after the order there is already.

        Args:
            columns: ``Model.column.desc()``, or names: ``"name"``, ``"-created_at"``,
                ``"project__name"`` when joined, ``"architecture__score"``.

        Raises:
            UnknownFieldError: There is no such column.
            InvalidDataError: It is neither a column nor a name.
        """
        given = flattened(columns)
        found = flattened(ordered(self._entities, column) for column in given)
        return self._with(_order=(*self._order, *found))

    def distinct(self, *columns: Any) -> Self:
        """
        Each object once; with columns, the first one for each of their values.

        Raises:
            UnknownFieldError: There is no such column.
            InvalidDataError: It is one of a relationship to many: an object has
                several of its values.
        """
        given = flattened(columns)
        found = tuple(valued(self._entities, column, "distinct") for column in given)
        many = tables_of(self._repeating)
        for column, expression in zip(given, found, strict=True):
            if many.intersection(tables_in(expression)):
                problem = "it is of many rows for each object; use group_by()"
                raise self._refusal("distinct", column, problem)
        return self._with(_distinct=found)

    def options(self, *options: ORMOption) -> Self:
        """
        SQLAlchemy's loader options.
        """
        return self._with(_loading=self._loading + options)

    def load(self, *relationships: str) -> Self:
        """
        Load related objects together with these, by the names of the relationships.

        Softly deleted ones are not among them. What was loaded before is loaded anew,
        but by `stream`.
        """
        names = flattened(relationships)
        options = selected(self._model, names, include_deleted=self._with_deleted)
        loading = (*self._loading, *options)
        return self._with(_loading=loading, _loaded=(*self._loaded, *names))

    def after(self, *values: Any) -> Self:
        """
        Only what comes after an object, in the order of the query.

        Args:
            values: The object's values of the columns it is ordered by, and of the
                primary key, which is always the last of them.

        Raises:
            InvalidDataError: The values do not fit, or the order has expressions in it.
        """
        after(self._model, keys_of(self._model, self._order), values)
        return self._with(_after=values)

    @property
    def statement(self) -> Select[ModelT]:
        """
        The query for SQLAlchemy.
        """
        order = self._order
        if self._after is not None:
            order = tuple(key.order for key in keys_of(self._model, order))
        return self._cut.order_by(*order).options(*self._loading)

    @property
    def _cut(self) -> Select[ModelT]:
        """
        The query without its order, and without what loads together with it.
        """
        statement = self._filtered
        columns = self._distinct or self._keys
        if self._distinct is not None or self._repeating:
            statement = statement.ext(distinct_on(*columns))
        return self._sliced(statement)

    @property
    def _keys(self) -> tuple[Any, ...]:
        """
        The primary key.
        """
        mapper = inspect(self._model)
        names = [mapper.get_property_by_column(c).key for c in mapper.primary_key]
        return tuple(getattr(self._model, name) for name in names)

    @property
    def _is_cut(self) -> bool:
        cuts = (self._limit, self._offset, self._distinct)
        return any(cut is not None for cut in cuts)

    @property
    def _filtered(self) -> Select[ModelT]:
        used = (*self._where, *self._order, *(self._distinct or ()))
        require_joined(self._entities, used)
        statement = select(self._model)
        for along, outer in self._joins:
            statement = statement.join(along, isouter=outer)
        if not self._with_deleted:
            statement = statement.where(*visible(self._model))
            statement = statement.options(*hiding(self._model))
        if self._after is not None:
            keys = keys_of(self._model, self._order)
            statement = statement.where(after(self._model, keys, self._after))
        return statement.where(*self._where)
