"""
What questions are answered with: typed rows, and what they can be made into.
"""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, Generic, TypeVar, get_args, get_type_hints, overload

import pyarrow as pa

from project_architect_db.analytics.charts import Chart, Spec
from project_architect_db.analytics.scope import Scope
from project_architect_db.errors import ConfigurationError

RowT = TypeVar("RowT", bound="tuple[Any, ...]")
"""A `NamedTuple`."""

ROWS_AT_A_TIME = 10_000
"""Made into Arrow, or into text, at once."""

_ARROW: dict[Any, pa.DataType] = {
    bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Report(Sequence[RowT], Generic[RowT]):
    """
    The answer to a question: rows with names and types.

    Attributes:
        name: The method it is the answer of.
        title: What it tells, for people.
        rows: All of them.
        row_type: The `NamedTuple` that they are.
        scope: What the question was limited to.
        view: How `plot` shows it.

    Example:
        >>> from project_architect_db.testing import temporary_database
        >>> async with temporary_database() as engine:
        ...     async with engine.transaction() as session:
        ...         projects = ProjectRepository(session)
        ...         made = await projects.create({"name": "a", "project_idea": "b"})
        ...     report = await AnalyticsRepository(engine).status_distribution()
        >>> for row in report:
        ...     print(row.status, row.projects, row.share)
        draft 1 1.0
        >>> print(*report.columns)
        status projects share
    """

    name: str
    title: str
    rows: tuple[RowT, ...]
    row_type: type[RowT]
    scope: Scope
    view: Spec

    def __iter__(self) -> Iterator[RowT]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RowT, ...]: ...
    def __getitem__(self, index: int | slice) -> RowT | tuple[RowT, ...]:
        return self.rows[index]

    def __repr__(self) -> str:
        return f"<Report {self.name}: {len(self.rows):,} rows>"

    @property
    def columns(self) -> tuple[str, ...]:
        """
        The names of the fields of a row.
        """
        return columns_of(self.row_type)

    def to_dict(self) -> dict[str, Any]:
        """
        What a JSON API would answer: times are text, the rows are dicts.
        """
        scope = self.scope
        return {
            "name": self.name, "title": self.title, "columns": list(self.columns),
            "granularity": scope.granularity, "zone": scope.zone.key,
            "since": scope.since and scope.since.isoformat(),
            "until": scope.until and scope.until.isoformat(),
            "rows": list(self._plain(self.rows)),
        }  # fmt: skip

    def _plain(self, rows: Sequence[RowT]) -> Iterator[dict[str, Any]]:
        """
        Rows as dicts of what JSON knows.
        """
        names = self.columns
        for row in rows:
            yield {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in zip(names, row, strict=True)
            }

    def plot(self) -> Chart:
        """
        A picture of it, whose times are those on the clocks of the zone.
        """
        rows = [
            dict(zip(self.columns, map(_on_the_clock, row), strict=True))
            for row in self.rows
        ]
        return Chart.of(self.title, self.view, rows)

    # --- columns ------------------------------------------------------------------

    def to_arrow(self) -> pa.Table:
        """
        The rows as an Arrow table; times have the zone that was asked for.
        """
        return pa.Table.from_batches(self._batches(), self._schema())

    def _schema(self) -> pa.Schema:
        kinds = kinds_of(self.row_type).items()
        return pa.schema([(name, _arrow(kind, self.scope)) for name, kind in kinds])

    def _batches(self) -> Iterator[pa.RecordBatch]:
        schema, rows = self._schema(), iter(self.rows)
        while piece := list(islice(rows, ROWS_AT_A_TIME)):
            arrays = [
                pa.array(values, kind)
                for values, kind in zip(
                    zip(*piece, strict=True), schema.types, strict=True
                )
            ]
            yield pa.record_batch(arrays, schema)

    def to_polars(self) -> Any:
        """
        The rows as a Polars frame.

        Raises:
            ConfigurationError: Polars is not installed.
        """
        return _frame("polars", lambda polars: polars.from_arrow(self.to_arrow()))

    def to_pandas(self) -> Any:
        """
        The rows as a pandas frame.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        return _frame("pandas", lambda _: self.to_arrow().to_pandas())

    # --- files --------------------------------------------------------------------

    async def to_parquet(self, path: str | Path) -> Path:
        """
        Write the rows into a Parquet file.
        """
        return await _to_file(path, self._write_parquet)

    async def to_csv(self, path: str | Path) -> Path:
        """
        Write the rows into a CSV file, in UTF-8, with a line of names.
        """
        return await _to_file(path, self._write_csv)

    async def to_json(self, path: str | Path) -> Path:
        """
        Write what `to_dict` says into a file.
        """
        return await _to_file(path, self._write_json)

    def _write_parquet(self, path: Path) -> None:
        from pyarrow.parquet import ParquetWriter

        with ParquetWriter(path, self._schema()) as writer:
            for batch in self._batches():
                writer.write_batch(batch)

    def _write_csv(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            for row in self._plain(self.rows):
                writer.writerow(map(_cell, row.values()))

    def _write_json(self, path: Path) -> None:
        head = json.dumps({**self._without_rows().to_dict(), "rows": []})
        with path.open("w", encoding="utf-8") as file:
            file.write(head.removesuffix("]}"))
            for number, row in enumerate(self._plain(self.rows)):
                file.write(
                    (",\n" if number else "\n") + json.dumps(row, allow_nan=False)
                )
            file.write("\n]}\n")

    def _without_rows(self) -> Report[RowT]:
        return Report(self.name, self.title, (), self.row_type, self.scope, self.view)


@lru_cache(maxsize=1000)
def kinds_of(row_type: Any) -> dict[str, Any]:
    """
    The fields of a row, and their types; `None` is not told of.
    """
    return {name: _alone(kind) for name, kind in get_type_hints(row_type).items()}


def columns_of(row_type: Any) -> tuple[str, ...]:
    """
    The names of the fields of a row.
    """
    return tuple(kinds_of(row_type))


def _alone(kind: Any) -> Any:
    """
    A type without its ``| None``.
    """
    parts = [part for part in get_args(kind) if part is not type(None)]
    return parts[0] if len(parts) == 1 and len(get_args(kind)) == 2 else kind


def _arrow(kind: Any, scope: Scope) -> pa.DataType:
    if kind is datetime:
        return pa.timestamp("us", scope.zone.key)
    if kind in _ARROW:
        return _ARROW[kind]
    (item, *_) = get_args(kind)
    return pa.list_(_ARROW[item])


def _on_the_clock(value: Any) -> Any:
    """
    A time without its offset: who draws it would turn it to where they are.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    return value


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


async def _to_file(path: str | Path, write: Callable[[Path], None]) -> Path:
    """
    Write beside the file, which takes its place when it is complete.
    """
    path = Path(path)
    await asyncio.to_thread(_replace, path, write)
    return path


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    # Of its own, as another task may be writing the same file.
    part = path.with_name(f"{path.name}.{token_hex(4)}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _frame(name: str, make: Callable[[Any], Any]) -> Any:
    try:
        library = import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"{name} is not installed: pip install {name}"
        ) from error
    return make(library)
