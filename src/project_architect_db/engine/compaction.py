"""
Rewrite a database file without the room that changed and deleted rows have left.

DuckDB reuses that room, and hardly ever gives it back (duckdb-facts §7).
"""

from __future__ import annotations

import glob
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from project_architect_db.dialect.database import open_files
from project_architect_db.engine.address import wal_of
from project_architect_db.engine.backup import content_of, read_content, sync_folder
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.watching import watching
from project_architect_db.errors import ArchitectError, BackupError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from project_architect_db.engine.backup import Progress, TableContent

_OBJECTS = """
SELECT 'index', sql FROM duckdb_indexes() WHERE database_name = :name
UNION ALL
SELECT 'view', sql FROM duckdb_views() WHERE database_name = :name AND NOT internal
UNION ALL
SELECT 'table', sql || coalesce(comment, '') FROM duckdb_tables()
WHERE database_name = :name
UNION ALL
SELECT 'sequence', sql FROM duckdb_sequences() WHERE database_name = :name
ORDER BY ALL
"""


@dataclass(frozen=True, slots=True)
class Compacted:
    """
    What compacting has saved.

    Attributes:
        path: The database file.
        bytes_before: Its size, and that of its write-ahead log.
        bytes: Its size now.
        tables: What is in it, as before.
    """

    path: Path
    bytes_before: int
    bytes: int
    tables: dict[str, TableContent]


async def compact(
    database: str | Path | None,
    *,
    progress: Progress = lambda *_: None,
    **settings: Any,
) -> Compacted:
    """
    Write a database into a new file, compare it, and put it in the old one's place.

    Nobody else may have it open. Until the new file has the name of the database, the
    old one is there unchanged; whatever happens, one of them is whole.

    Args:
        database: A path or URL; `None` for what the settings say.
        progress: Called with the name of the step, what is done, and of how much.
        **settings: Any fields of `DatabaseSettings`.

    Raises:
        BackupError: There is no file, or no room for another one; or the new one does
            not hold what it has to.
        DatabaseLockedError: Somebody has the database open.

    Example:
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     await engine.create_all()
        >>> from project_architect_db.engine import compact
        >>> (await compact("app.duckdb")).tables["main.projects"].rows
        0
    """
    path = _allowed(DatabaseEngine(database).path)
    before = _size(path) + _size(wal_of(path))
    partial_ = path.with_name(f".{path.name}.{os.getpid()}.compacting")
    settings["allowed_directories"] = [path.parent]
    try:
        async with DatabaseEngine(database, **settings) as engine:
            _clear(path)  # now that nobody else can be at it
            await engine.checkpoint()
            async with engine.session() as session:
                content = await content_of(session, progress)
            await _rewrite(engine, partial_, partial(progress, "rewrite"))
            found = await read_content(partial_, progress)
            if found["tables"] != content["tables"]:
                raise BackupError(f"the new file of {path} holds other rows; it stays")
            # While the old file is still locked: nobody writes into it any more.
            shutil.copymode(path, partial_)
            partial_.replace(path)
            sync_folder(path.parent)
    except (OSError, SQLAlchemyError) as error:
        raise BackupError(f"{path} cannot be rewritten: {error}") from error
    finally:
        for leftover in (partial_, wal_of(partial_)):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
    return Compacted(path, before, _size(path), content["tables"])


def _allowed(path: Path | None) -> Path:
    """
    The file, if it can be rewritten.
    """
    if path is None or not path.exists():
        raise BackupError("there is no database file to compact; name one")
    if path in open_files():
        raise BackupError(f"{path} is open in this process; close its engine first")
    free = shutil.disk_usage(path.parent).free
    if free < _size(path):
        raise BackupError(
            f"a second file may need {_size(path):,} bytes beside {path}, and "
            f"{free:,} are free; make room first"
        )
    return path


def _clear(path: Path) -> None:
    """
    Remove what a process that was killed has left.
    """
    for file in path.parent.glob(f".{glob.escape(path.name)}.*.compacting*"):
        file.unlink()


async def _rewrite(engine: DatabaseEngine, target: Path, tell: Any) -> None:
    async with engine.engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        name = await connection.scalar(text("SELECT current_database()"))
        quoted = '"' + str(name).replace('"', '""') + '"'
        version = engine.settings.storage_version.replace("'", "''")
        where = str(target).replace("'", "''")
        sql = f"ATTACH '{where}' AS compacting (STORAGE_VERSION '{version}')"
        await _run(connection, sql)
        try:
            with watching(engine, tell):
                await _run(connection, f"COPY FROM DATABASE {quoted} TO compacting")
                await _run(connection, "CHECKPOINT compacting")
            if await _objects(connection, name) != await _objects(
                connection, "compacting"
            ):
                raise BackupError("the new file has not all indexes, views, sequences")
        finally:
            with suppress(ArchitectError, SQLAlchemyError):
                await _run(connection, "DETACH compacting")


async def _run(connection: AsyncConnection, sql: str) -> None:
    # A path may have a colon, which is no parameter.
    await connection.exec_driver_sql(sql, execution_options={"timeout": None})


async def _objects(connection: AsyncConnection, name: Any) -> list[Any]:
    return list(await connection.execute(text(_OBJECTS), {"name": name}))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
