"""
What queries for objects and queries for rows have in common.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from sqlalchemy import Select
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db.dialect.json_queries import explained
from project_architect_db.errors import ConfigurationError, InvalidDataError
from project_architect_db.orm.export import Export


class Query(ABC):
    """
    A query of a model, in a session. Each method that changes it returns a new one.
    """

    def __init__(self, model: type[Any], session: AsyncSession) -> None:
        self._model = model
        self._session = session
        self._limit: int | None = None
        self._offset: int | None = None

    @property
    @abstractmethod
    def statement(self) -> Select[Any]:
        """
        The query for SQLAlchemy.
        """

    def limit(self, count: int | None) -> Self:
        """
        At most so many results; `None` for all of them.

        Raises:
            InvalidDataError: It is negative, or no number.
        """
        return self._with(_limit=self._checked("limit", count))

    def offset(self, count: int | None) -> Self:
        """
        Leave out so many results at the beginning.

        Raises:
            InvalidDataError: It is negative, or no number.
        """
        return self._with(_offset=self._checked("offset", count))

    def to_sql(self) -> str:
        """
        The SQL with its values, to be read; it is never run.

        Values that cannot be written into SQL stand behind it.
        """
        dialect = self._session.get_bind().dialect
        options = {"literal_binds": True}
        try:
            return str(self.statement.compile(dialect=dialect, compile_kwargs=options))
        except CompileError:
            compiled = self.statement.compile(dialect=dialect)
            return f"{compiled}\n-- {compiled.params}"

    async def explain(self, *, analyze: bool = False) -> str:
        """
        How the database goes about it.

        Args:
            analyze: Run it, and say how long each step took.
        """
        statement = explained(self.statement, analyze=analyze)
        options = self._options("explain")
        rows = await self._session.execute(statement, execution_options=options)
        return "\n".join(row[1] for row in rows)

    async def to_arrow(self) -> pa.Table:
        """
        All rows as an Arrow table.

        Raises:
            InvalidDataError: Arrow has no such value.
        """
        return await self._export("to_arrow").table()

    async def to_polars(self) -> Any:
        """
        All rows as a polars data frame.

        Raises:
            ConfigurationError: polars is not installed.
        """
        return await self._frame("polars", lambda polars, t: polars.from_arrow(t))

    async def to_pandas(self) -> Any:
        """
        All rows as a pandas data frame.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        return await self._frame("pandas", lambda _, table: table.to_pandas())

    async def _frame(self, name: str, convert: Callable[[Any, pa.Table], Any]) -> Any:
        package = _package(name)
        return convert(package, await self.to_arrow())

    async def to_parquet(self, path: str | PathLike[str]) -> int:
        """
        Write all rows to a Parquet file, a part at a time, and return their number.

        Raises:
            InvalidDataError: The file cannot be written there, or has no such value.
        """
        return await self._export("to_parquet").to_parquet(self._path_of(path))

    async def to_csv(self, path: str | PathLike[str]) -> int:
        """
        Write all rows to a CSV file, a part at a time, and return their number.

        Raises:
            InvalidDataError: The file cannot be written there, or has no such value.
        """
        return await self._export("to_csv").to_csv(self._path_of(path))

    def _export(self, method: str) -> Export:
        name, columns = self._model.__name__, self._exported
        options = self._options(method)
        return Export(self._session, self.statement, options, name, columns)

    @property
    def _exported(self) -> Sequence[tuple[str, Any]]:
        """
        The names and the columns of an export.
        """
        columns = self.statement.selected_columns
        return [(column.key or column.name, column) for column in columns]

    def _path_of(self, path: Any) -> Path:
        if isinstance(path, str | PathLike):
            return Path(path)
        raise self._refusal("path", path, f"expected the path of a file, not {path!r}")

    def _options(self, method: str) -> dict[str, Any]:
        """
        Execution options that tell who asked.
        """
        kind = type(self).__name__
        return {"operation": f"{kind}[{self._model.__name__}].{method}"}

    def _with(self, **changes: Any) -> Self:
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    @property
    def _at_most_one(self) -> int:
        """
        The limit for who wants the first result only.
        """
        return 0 if self._limit == 0 else 1

    def _sliced(self, statement: Select[Any]) -> Select[Any]:
        if self._limit is not None:
            statement = statement.limit(self._limit)
        if self._offset is not None:
            statement = statement.offset(self._offset)
        return statement

    def _checked(self, name: str, count: Any) -> Any:
        is_count = isinstance(count, int) and not isinstance(count, bool)
        if count is None or (is_count and 0 <= count < 2**63):
            return count
        raise self._refusal(name, count, f"expected a number from 0, not {count!r}")

    def _refusal(self, name: str, value: Any, problem: str) -> InvalidDataError:
        return InvalidDataError(
            problem, model=self._model.__name__, field=name, value=value
        )


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"to_{name}() needs the package {name}: pip install {name}"
        ) from error
