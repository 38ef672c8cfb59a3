"""
What there is in a database, how much room it takes, and what is worth changing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text

from project_architect_db.engine.address import wal_of
from project_architect_db.engine.backup import table_names
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.query_plan import explain_query

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import MetaData

    from project_architect_db.engine.backup import Progress
    from project_architect_db.engine.session import ArchitectSession
    from project_architect_db.engine.slow_queries import SlowQuery


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """
    A column in numbers.

    Attributes:
        name: Of the column.
        type: In SQL.
        nulls: The part of the rows that are NULL there, from 0 to 1.
        distinct: About how many different values.
    """

    name: str
    type: str
    nulls: float
    distinct: int


@dataclass(frozen=True, slots=True)
class TableFacts:
    """
    A table in numbers.

    Attributes:
        name: With its schema.
        rows: How many.
        bytes: In the file, in whole blocks; without indexes.
        columns: Its columns.
    """

    name: str
    rows: int
    bytes: int
    columns: tuple[ColumnFacts, ...]


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """
    An index, and whether it is good for anything.

    Attributes:
        name: Of the index.
        table: With its schema.
        columns: What is indexed.
        unique: Whether it also keeps values from being there twice.
        used: Whether DuckDB reads it for a typical value; `None` if it was not tried.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool
    used: bool | None


@dataclass(slots=True)
class Analysis:
    """
    A database in numbers.

    Attributes:
        database: The file.
        duckdb: The version of DuckDB that reads it.
        file_bytes: Its size.
        free_bytes: Of these, what is free for new rows.
        wal_bytes: The write-ahead log, before the database was opened.
        checkpoint_threshold: At which size of the log DuckDB empties it.
        memory_limit: As DuckDB has it.
        memory_bytes: What it used after the analysis.
        spilled_bytes: What it had to write to `temp_directory` for it.
        temp_directory: Where queries larger than memory go.
        threads: For one query.
        tables: The largest first.
        indexes: All that were created as such.
        slow_queries: From the log, where one was given.
    """

    database: str
    duckdb: str = ""
    file_bytes: int = 0
    free_bytes: int = 0
    wal_bytes: int = 0
    checkpoint_threshold: str = ""
    memory_limit: str = ""
    memory_bytes: int = 0
    spilled_bytes: int = 0
    temp_directory: str = ""
    threads: int = 0
    tables: list[TableFacts] = field(default_factory=list)
    indexes: list[IndexFacts] = field(default_factory=list)
    slow_queries: list[SlowQuery] = field(default_factory=list)


async def analyze(
    database: str | Path | None, *, metadata: MetaData | None = None,
    progress: Progress = lambda *_: None, **settings: Any,
) -> Analysis:  # fmt: skip
    """
    Look at all tables, columns and indexes of a database; each row is read once.

    Args:
        database: A path or URL; `None` for what the settings say.
        metadata: Of the engine; by default `Base`'s.
        progress: Called with the name of the step, what is done, and of how much.
        **settings: Any fields of `DatabaseSettings`.

    Raises:
        DatabaseOpenError: It cannot be opened.

    Example:
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     await engine.create_all()
        >>> from project_architect_db.engine import analyze
        >>> found = await analyze("app.duckdb")
        >>> next(t.rows for t in found.tables if t.name == "main.projects")
        0
    """
    unopened = DatabaseEngine(database, metadata=metadata, **settings)
    found = Analysis(unopened.name)
    if unopened.path is not None and wal_of(unopened.path).exists():
        found.wal_bytes = wal_of(unopened.path).stat().st_size
    async with unopened as engine:
        async with engine.session() as session:
            connection = await session.connection()
            names = await connection.run_sync(table_names)
            for number, name in enumerate(names):
                progress("tables", number, len(names))
                found.tables.append(await connection.run_sync(_table, name))
            progress("tables", len(names), len(names))
            await connection.run_sync(_state, found)
            await session.rollback()
            for name in names:
                found.indexes += await _indexes(session, name)
        found.file_bytes = (await engine.health()).file_bytes
    found.tables.sort(key=lambda table: (-table.bytes, -table.rows, table.name))
    return found


def _table(connection: Connection, name: tuple[str, str]) -> TableFacts:
    """
    Count the rows, the NULLs and the different values in one pass.
    """
    schema, table = name
    columns = connection.execute(text(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() "
        "AND schema_name = :schema AND table_name = :table ORDER BY column_index"
    ), {"schema": schema, "table": table}).all()  # fmt: skip
    counted = ", ".join(
        f"count({_quoted(column)}), approx_count_distinct({_quoted(column)})"
        for column, _ in columns
    )
    full = f"{_quoted(schema)}.{_quoted(table)}"
    row = connection.execute(text(f"SELECT count(*), {counted} FROM {full}")).one()  # noqa: S608 - quoted
    rows, counts = row[0], list(zip(row[1::2], row[2::2], strict=True))
    facts = tuple(
        ColumnFacts(
            column,
            type_,
            round(1 - there / rows, 4) if rows else 0.0,
            min(rows, differ),
        )
        for (column, type_), (there, differ) in zip(columns, counts, strict=True)
    )
    blocks = connection.scalar(text(
        "SELECT count(DISTINCT block) FROM (SELECT unnest(list_append("
        "additional_block_ids, block_id)) AS block FROM pragma_storage_info(:name) "
        "WHERE persistent) WHERE block >= 0"
    ), {"name": full})  # fmt: skip
    size = connection.scalar(text("SELECT max(block_size) FROM pragma_database_size()"))
    return TableFacts(
        f"{schema}.{table}", rows, int(blocks or 0) * int(size or 0), facts
    )


def _state(connection: Connection, found: Analysis) -> None:
    """
    The file, the memory and the settings that matter.
    """
    row = connection.execute(text(
        "SELECT version(), block_size * free_blocks, current_setting('memory_limit'), "
        "current_setting('threads'), current_setting('temp_directory'), "
        "current_setting('checkpoint_threshold') FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    )).one()  # fmt: skip
    (
        found.duckdb, found.free_bytes, found.memory_limit, found.threads,
        found.temp_directory, found.checkpoint_threshold,
    ) = row  # fmt: skip
    used = connection.execute(text(
        "SELECT sum(memory_usage_bytes)::BIGINT, sum(temporary_storage_bytes)::BIGINT "
        "FROM duckdb_memory()"
    )).one()  # fmt: skip
    found.memory_bytes, found.spilled_bytes = used


async def _indexes(
    session: ArchitectSession, name: tuple[str, str]
) -> list[IndexFacts]:
    schema, table = name

    def read(connection: Connection) -> list[Any]:
        return inspect(connection).get_indexes(table, schema)

    found = []
    for index in await (await session.connection()).run_sync(read):
        columns = tuple(index["column_names"])
        used = None
        if None not in columns:
            used = await _is_used(session, name, columns)
        found.append(IndexFacts(
            str(index["name"]), f"{schema}.{table}",
            tuple(c or "an expression" for c in columns), bool(index["unique"]), used,
        ))  # fmt: skip
    return found


async def _is_used(
    session: ArchitectSession, name: tuple[str, str], columns: tuple[str, ...]
) -> bool | None:
    """
    Whether DuckDB reads the index to find a typical value; `None` without any.
    """
    listed = ", ".join(map(_quoted, columns))
    full = ".".join(map(_quoted, name))
    # A value that many rows have is more likely to be drawn, and to be asked for.
    one = f"SELECT {listed} FROM {full} USING SAMPLE reservoir(1 ROWS) REPEATABLE (1)"  # noqa: S608 - quoted
    row = (await session.execute(text(one))).one_or_none()
    if row is None or None in row:
        return None
    same = " AND ".join(f"{_quoted(c)} = ${n}" for n, c in enumerate(columns, start=1))
    query = f"SELECT {listed} FROM {full} WHERE {same}"  # noqa: S608 - quoted
    values = dict(zip(columns, row, strict=True))
    plan = await explain_query(session, query, values)
    return any(step.facts.get("Type") == "Index Scan" for step in plan.walk())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
