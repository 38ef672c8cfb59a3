"""
Rows that fit their model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle
from random import Random
from typing import Any, Generic, TypeVar, overload

from sqlalchemy import JSON, Column, inspect
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.json_types import declared_schema
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.testing.keys import (
    Reference,
    needs_value,
    references,
    unique_columns,
)
from project_architect_db.testing.values import json_value_for, value_for

ModelT = TypeVar("ModelT")


class RowFactory(Generic[ModelT]):
    """
    Rows for tests that fit their model, and are the same ones in each run.

    Fields with a default are left to it. All others have a value, the nullable ones,
    too, but for foreign keys and `deleted_at`; what is unique is counted. A row that
    needs another row gets one, made by a factory of its own: one for all rows of a
    call, or one for each where the foreign key is unique.

    CHECK constraints and custom types may want other values than those: give them.

    Args:
        model: A mapped class.
        seed: Another one makes other rows.
        **defaults: Values for all rows, as in `build`.

    Example:
        >>> from project_architect_db.testing import RowFactory, temporary_database
        >>> projects = RowFactory(Project, status="active")
        >>> documents = RowFactory(Document, title=lambda number: f"Part {number}")
        >>> async with temporary_database() as engine:
        ...     async with engine.transaction() as session:
        ...         project = await projects.create(session)
        ...         for made in await documents.create(session, 2, project_id=1):
        ...             print(made.title, "of a project that is", project.status)
        Part 1 of a project that is active
        Part 2 of a project that is active
    """

    def __init__(
        self, model: type[ModelT], /, *, seed: int | str = 0, **defaults: Any
    ) -> None:
        self.model = model
        self._fields = fields_of(model)
        self._seed = seed
        self._defaults = defaults
        self._made = 0
        self._above: tuple[type[Any], ...] = ()
        self._parents: dict[Reference, RowFactory[Any]] = {}
        # The key of a row in several tables is that of the same row in another one.
        above = [*inspect(model).iterate_to_root()]
        self._references = [
            reference
            for reference in references(model)
            if inspect(reference.target, raiseerr=False) not in above
            or reference.names != [*self._fields.key]
        ]
        self._sources = self._make_sources()
        self._repository: type[BaseRepository[ModelT]] = type(
            "RowFactory", (BaseRepository,), {"model": model}
        )

    def build(self, **overrides: Any) -> dict[str, Any]:
        """
        A dict that a repository, or the model, takes.

        Foreign keys are not in it unless they are given: their row has to be there.

        Args:
            overrides: Values by field. A function is called with the number of the
                row, from 1 on.

        Raises:
            UnknownFieldError: The model has no such field.
            InvalidDataError: A field is of a type that there are no values for.

        Example:
            >>> from project_architect_db.testing import RowFactory
            >>> project = RowFactory(Project).build(name="Atlas", description=None)
            >>> Project(**project).name
            'Atlas'
        """
        self._made += 1
        row = {**self._defaults, **overrides}
        for name, source in self._sources.items():
            if name not in row:
                row[name] = source(self._made)
        for name, value in list(row.items()):
            if name not in self._fields.columns:
                self._fields.refuse_unknown(name)
            if isinstance(value, RowFactory):
                del row[name]
            elif callable(value):
                row[name] = value(self._made)
        return row

    @overload
    async def create(
        self, session: AsyncSession, n: int, **overrides: Any
    ) -> list[ModelT]: ...

    @overload
    async def create(self, session: AsyncSession, **overrides: Any) -> ModelT: ...

    async def create(
        self, session: AsyncSession, n: int | None = None, **overrides: Any
    ) -> ModelT | list[ModelT]:
        """
        Rows in the database, and the rows that they need.

        Args:
            session: What they are added to, and flushed.
            n: How many, in a list; without, it is one, and no list. Many are made by
                `BaseRepository.bulk_create`.
            overrides: As in `build`. For a foreign key, a factory, too: it makes the
                rows that are referred to.
        """
        count = 1 if n is None else n
        keys = await self._refer(session, count, {**self._defaults, **overrides})
        rows = [self.build(**overrides) | key for key in keys]
        repository = self._repository(session)
        if n is None:
            return await repository.create(rows[0])
        if self._fields.is_joined:  # which bulk methods do not write
            return [await repository.create(row) for row in rows]
        return await repository.bulk_create(rows)

    async def _refer(
        self, session: AsyncSession, count: int, given: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """
        The values of foreign keys, for each of the rows.
        """
        keys: list[dict[str, Any]] = [{} for _ in range(count)]
        for reference in self._references if count > 0 else ():
            named = [given[name] for name in reference.names if name in given]
            factories = [value for value in named if isinstance(value, RowFactory)]
            if factories:
                factory = factories[0]
            elif reference.is_required and not named:
                factory = self._parent_of(reference)
            else:
                continue
            made = await factory.create(session, count if reference.is_unique else 1)
            for key, parent in zip(keys, cycle(made), strict=False):
                key.update(reference.to(parent))
        return keys

    def _parent_of(self, reference: Reference) -> RowFactory[Any]:
        if reference not in self._parents:
            target, above = reference.target, (*self._above, self.model)
            if target is None or target in above:
                raise self._give_it(reference.names[0], "there is no factory for it")
            seed = f"{self._seed} {self.model.__name__} {reference.names}"
            self._parents[reference] = RowFactory(target, seed=seed)
            self._parents[reference]._above = above  # noqa: SLF001 - of our own
        return self._parents[reference]

    def _give_it(self, name: str, problem: str) -> InvalidDataError:
        return InvalidDataError(
            f"{problem}; give it a value: RowFactory({self.model.__name__}, {name}=…)",
            model=self.model.__name__, field=name, value=None,
        )  # fmt: skip

    # --- values -------------------------------------------------------------------

    def _make_sources(self) -> dict[str, Callable[[int], Any]]:
        """
        What makes the values of each field that gets one.
        """
        mapper, unique = inspect(self.model), unique_columns(self._fields.table)
        sources = {
            name: self._source(name, column, is_unique=column in unique)
            for name, column in self._fields.columns.items()
            if name not in self._defaults and needs_value(column)
        }
        if mapper.polymorphic_on is not None:
            name = mapper.get_property_by_column(mapper.polymorphic_on).key
            sources[name] = lambda _: mapper.polymorphic_identity
        return sources

    def _source(
        self, name: str, column: Column[Any], *, is_unique: bool
    ) -> Callable[[int], Any]:
        # One of its own, so that a new column changes no others.
        random = Random(f"{self._seed} {self._fields.table}.{name}")  # noqa: S311
        type_ = column.type
        declared = declared_schema(self.model, name)

        def value(number: int) -> Any:
            if not is_unique:
                number = random.randrange(1, 1_000)
            if isinstance(type_, JSON):
                return json_value_for(declared, number, random)
            try:
                return value_for(type_, number, random, is_unique=is_unique)
            except LookupError:
                raise self._give_it(name, f"no values for {type_!r}") from None

        return value
