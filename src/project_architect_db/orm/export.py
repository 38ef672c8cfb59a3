"""
The rows of any query as Arrow, Parquet or CSV.

Values are taken as the database has them, with the types it names. What Arrow has no
type for comes as text: UUIDs, structs and maps as JSON, JSON as it is.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Select, String, cast, func, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import Label
from sqlalchemy.types import NullType

from project_architect_db.dialect.json_queries import described
from project_architect_db.errors import InvalidDataError

ROWS_AT_A_TIME = 2_000
BATCHES_IN_A_ROW_GROUP = 50

_TYPES = {
    "BIGINT": pa.int64(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "HUGEINT": pa.decimal128(38, 0),  # as DuckDB exports it
    "INTEGER": pa.int32(),
    "JSON": pa.string(),
    "SMALLINT": pa.int16(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "TIMESTAMP_MS": pa.timestamp("ms"),
    "TIMESTAMP_S": pa.timestamp("s"),
    "TINYINT": pa.int8(),
    "UBIGINT": pa.uint64(),
    "UINTEGER": pa.uint32(),
    "USMALLINT": pa.uint16(),
    "UTINYINT": pa.uint8(),
    "VARCHAR": pa.string(),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_ENUM = re.compile(r"ENUM\((?:'(?:[^']|'')*'(?:, )?)*\)")


@dataclass(frozen=True)
class Export:
    """
    A query whose rows are wanted elsewhere.

    Attributes:
        session: Where it runs.
        statement: The query.
        options: Execution options for it.
        model: The name of its model, for errors.
        columns: The names and the columns of the rows.
    """

    session: AsyncSession
    statement: Select[Any]
    options: Mapping[str, Any]
    model: str
    columns: Sequence[tuple[str, Any]]

    async def table(self) -> pa.Table:
        """
        All rows in memory.
        """
        statement, schema = await self._prepared(is_csv=False)
        batches = [batch async for batch in self._batches(statement, schema)]
        return pa.Table.from_batches(batches, schema)

    async def to_parquet(self, path: Path) -> int:
        """
        Write a file, and return the number of its rows.
        """
        statement, schema = await self._prepared(is_csv=False)
        return await self._write(path, statement, schema, _parquet_writer)

    async def to_csv(self, path: Path) -> int:
        """
        Write a file, and return the number of its rows.
        """
        statement, schema = await self._prepared(is_csv=True)
        return await self._write(path, statement, schema, _csv_writer)

    async def _prepared(self, *, is_csv: bool) -> tuple[Select[Any], pa.Schema]:
        """
        The query for values as the database has them, and their types in Arrow.
        """
        columns = [
            (name, type_coerce(_unlabelled(column), NullType()))
            for name, column in self.columns
        ]
        statement = _with_columns(self.statement, columns)
        described_rows = await self.session.execute(
            described(statement), execution_options=self.options
        )
        rows = described_rows.all()
        types = [_arrow_type(row[1], is_csv=is_csv) for row in rows]
        columns = [
            (name, _as_text(column, row[1]) if type_ is None else column)
            for (name, column), row, type_ in zip(columns, rows, types, strict=True)
        ]
        names = [row[0] for row in rows]
        fields = zip(names, [type_ or pa.string() for type_ in types], strict=True)
        return _with_columns(self.statement, columns), pa.schema(list(fields))

    async def _batches(
        self, statement: Select[Any], schema: pa.Schema
    ) -> AsyncGenerator[pa.RecordBatch]:
        options = {**self.options, "yield_per": ROWS_AT_A_TIME}
        result = await self.session.stream(statement, execution_options=options)
        try:
            async for rows in result.partitions():
                yield await asyncio.to_thread(self._batch, rows, schema)
        finally:
            await result.close()

    async def _write(
        self, path: Path, statement: Select[Any], schema: pa.Schema,
        open_writer: Callable[[Path, pa.Schema], Any],
    ) -> int:  # fmt: skip
        """
        Write beside the file, which takes its place when it is complete.
        """
        if path.is_dir():  # noqa: ASYNC240 - within 1 ms
            raise self._refusal("path", str(path), "it is a directory")
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            return await self._write_part(part, path, statement, schema, open_writer)
        except OSError as error:
            problem = f"the file cannot be written: {error}"
            raise self._refusal("path", str(path), problem) from error
        finally:
            part.unlink(missing_ok=True)

    async def _write_part(
        self, part: Path, path: Path, statement: Select[Any], schema: pa.Schema,
        open_writer: Callable[[Path, pa.Schema], Any],
    ) -> int:  # fmt: skip
        count = 0
        with await _to_the_end(open_writer, part, schema) as writer:
            async with aclosing(self._groups(statement, schema)) as groups:
                async for table in groups:
                    await _to_the_end(writer.write_table, table)
                    count += table.num_rows
        part.replace(path)  # noqa: ASYNC240 - within 1 ms
        return count

    def _batch(self, rows: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
        arrays = []
        for field, values in zip(schema, zip(*rows, strict=True), strict=True):
            try:
                arrays.append(pa.array(values, field.type))
            except pa.ArrowInvalid as error:
                problem = f"{error}; cast it to String to export it"
                raise self._refusal(field.name, None, problem) from error
        return pa.record_batch(arrays, schema)

    def _refusal(self, field: str, value: Any, problem: str) -> InvalidDataError:
        return InvalidDataError(problem, model=self.model, field=field, value=value)

    async def _groups(
        self, statement: Select[Any], schema: pa.Schema
    ) -> AsyncGenerator[pa.Table]:
        """
        Tables of a hundred thousand rows, as Parquet keeps them together.
        """
        async with aclosing(self._batches(statement, schema)) as batches:
            group: list[pa.RecordBatch] = []
            async for batch in batches:
                group.append(batch)
                if len(group) == BATCHES_IN_A_ROW_GROUP:
                    yield pa.Table.from_batches(group, schema)
                    group = []
            if group:
                yield pa.Table.from_batches(group, schema)


async def _to_the_end(function: Callable[..., Any], *arguments: Any) -> Any:
    """
    Call it on a thread, which is done when this returns, even if it is cancelled.
    """
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


def _parquet_writer(path: Path, schema: pa.Schema) -> Any:
    from pyarrow.parquet import ParquetWriter

    return ParquetWriter(path, schema)


def _csv_writer(path: Path, schema: pa.Schema) -> Any:
    from pyarrow.csv import CSVWriter

    return CSVWriter(path, schema)


def _unlabelled(column: Any) -> Any:
    return column.element if isinstance(column, Label) else column


def _with_columns(
    statement: Select[Any], columns: Sequence[tuple[str, Any]]
) -> Select[Any]:
    labelled = [column.label(name) for name, column in columns]
    return statement.with_only_columns(*labelled, maintain_column_froms=True)


def _arrow_type(name: str, *, is_csv: bool) -> pa.DataType | None:
    """
    The Arrow type for one of DuckDB; `None` if it has to be text.
    """
    if found := _DECIMAL.fullmatch(name):
        return pa.decimal128(*map(int, found.groups()))
    if _ENUM.fullmatch(name):
        return pa.string()
    if name.endswith("[]"):
        item = _arrow_type(name[:-2], is_csv=is_csv)
        return pa.list_(item) if item is not None and not is_csv else None
    return None if is_csv and name == "BLOB" else _TYPES.get(name)


def _as_text(column: Any, type_: str) -> Any:
    is_nested = type_.endswith((")", "]")) or type_ == "VARIANT"
    return cast(func.to_json(column) if is_nested else column, String)
