"""
Rows of a file into a table: JSON, CSV or Parquet, checked by the model.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
from pydantic import create_model
from sqlalchemy import JSON, Boolean, Column, MetaData, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.mapper import _all_registries

from project_architect_db.dialect.ddl_compiler import next_keys
from project_architect_db.domain.conversations import ConversationRepository
from project_architect_db.domain.documents import DocumentRepository
from project_architect_db.domain.projects import ProjectRepository
from project_architect_db.domain.repositories import RepositoryRepository
from project_architect_db.engine import DatabaseEngine
from project_architect_db.errors import ConfigurationError, InvalidDataError
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.orm.schema import absent

Progress = Callable[[int, int], object]

ROWS_AT_A_TIME = 10_000
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


async def load_rows(
    engine: DatabaseEngine, path: str | Path, *, table: str,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    r"""
    Add all rows of a file to a table, or none of them.

    The name of the file says what it is: ``.json`` (a list of objects), ``.jsonl`` or
    ``.ndjson`` (an object on each line), ``.csv`` (names on the first line; what is
    empty is left to the default of its field) or ``.parquet``. A row is checked as its
    repository would: types, unknown fields, uniqueness, foreign keys. Ids may be given,
    and are not given out again.

    Args:
        engine: Where to write; its metadata has the table.
        path: The file.
        table: The name of the table.
        progress: Called with the rows so far, twice: how many there are is not known.

    Raises:
        ConfigurationError: There is no such table, or no such kind of file.
        InvalidDataError: A value does not fit; says row and field, and no row is kept.
        UnknownFieldError: The table has no such field.
        MissingParentError: A row refers to one that is not there.
        DuplicateError: A row of this key is there already.

    Example:
        >>> from project_architect_db.testing import load_rows
        >>> _ = Path("projects.csv").write_text("name,project_idea\natlas,maps\n")
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     print(await load_rows(engine, "projects.csv", table="projects"))
        1
    """
    model = _model_of(engine.metadata, table)
    rows = _converted(_rows_of(Path(path)), model)
    async with engine.transaction() as session:
        repository = _repository_of(model)(session)
        count: int = await repository.bulk_insert(rows, progress=progress)
        if count:
            await _use_up(session, model)
    return count


def _model_of(metadata: MetaData, table: str) -> type[Any]:
    models = {
        str(mapper.local_table): mapper.class_
        for registry in _all_registries()
        for mapper in registry.mappers
        if mapper.local_table in metadata.tables.values()
    }
    if table not in models:
        raise ConfigurationError(
            f"there is no table {table!r}; there are {', '.join(sorted(models))}"
        )
    return models[table]


def _repository_of(model: type[Any]) -> type[BaseRepository[Any]]:
    """
    A repository that checks rows as the one of the domain does, where there is one.

    That one would also write an event, which is not in the file.
    """
    known: tuple[type[BaseRepository[Any]], ...] = (
        ProjectRepository, ConversationRepository, DocumentRepository,
        RepositoryRepository,
    )  # fmt: skip
    schemas = {each.model: each.create_schema for each in known}
    schema = schemas.get(model)
    if schema is not None:
        # A file has ids and times as well, which the schema leaves to the database.
        fields: Any = {
            name: (Any, absent())
            for name in fields_of(model).columns
            if name not in schema.model_fields
        }
        schema = create_model(model.__name__, __base__=schema, **fields)
    return type("Rows", (BaseRepository,), {"model": model, "create_schema": schema})


def _rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """
    What is in a file, row by row.
    """
    readers: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
        ".csv": _csv, ".json": _json, ".jsonl": _lines, ".ndjson": _lines,
        ".parquet": _parquet,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise ConfigurationError(
            f"{path}: what is in it? Its name has to end with {', '.join(readers)}"
        )
    try:
        yield from readers[path.suffix.lower()](path)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    except (ValueError, csv.Error, pa.ArrowException) as error:
        raise ConfigurationError(
            f"{path} is no {path.suffix[1:]} file: {error}"
        ) from error


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, strict=True), start=2):
            if None in row or None in row.values():
                raise ValueError(f"line {number} has not as many values as the first")
            yield {name: value for name, value in row.items() if value}


def _json(path: Path) -> Iterator[dict[str, Any]]:
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it has to be a list of objects")
    yield from rows


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError(f"line {number} is no object")
                yield row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_A_TIME):
            yield from batch.to_pylist()


# --- values ---------------------------------------------------------------------------


def _converted(
    rows: Iterator[dict[str, Any]], model: type[Any]
) -> Iterator[dict[str, Any]]:
    """
    The rows with what text stands for, as files have no other way to say it.
    """
    columns = fields_of(model).columns
    for index, row in enumerate(rows):
        made = {}
        for name, value in row.items():
            try:
                made[name] = _value(value, columns.get(name))
            except ValueError as error:
                raise InvalidDataError(
                    str(error), model=model.__name__, field=name, value=value,
                    index=index,
                ) from error  # fmt: skip
        yield made


def _value(value: Any, column: Column[Any] | None) -> Any:
    if column is None:
        return value  # there is no such field, as its repository will say
    if isinstance(value, str):
        return _from_text(value, column)
    if isinstance(value, datetime) and getattr(column.type, "timezone", False):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value


def _from_text(value: str, column: Column[Any]) -> Any:
    if isinstance(column.type, JSON):
        return json.loads(value)
    if isinstance(column.type, Boolean):
        if value.lower() not in BOOLEANS:
            raise ValueError(f"{value!r} is neither true nor false")
        return BOOLEANS[value.lower()]
    kind = column.type.python_type
    if kind is datetime:
        made = datetime.fromisoformat(value)
        aware = getattr(column.type, "timezone", False) and made.tzinfo is None
        return made.replace(tzinfo=UTC) if aware else made
    if kind in (date, time):
        return kind.fromisoformat(value)
    return kind(value) if kind in (int, float, UUID) else value


# --- ids ------------------------------------------------------------------------------


async def _use_up(session: AsyncSession, model: type[Any]) -> None:
    """
    Have the sequence of the ids go on behind the largest one.
    """
    fields = fields_of(model)
    if fields.counting is None:
        return
    table = fields.table
    largest = await session.scalar(
        select(func.max(fields.columns[fields.counting])).select_from(table)
    )
    next_one = next_keys(table, 1).subquery().c[0]
    missing = int(largest or 0) - int(await session.scalar(select(next_one)) or 0)
    if missing > 0:
        keys = next_keys(table, missing).subquery().c[0]
        await session.execute(select(func.max(keys)))
