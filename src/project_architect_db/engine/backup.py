"""
Backups of a database file: made while it is in use, verified, and restored.

A backup is a database file of its own, and beside it a manifest that says what is in
it. The write gate is held while the file and its write-ahead log are copied, so that
the copy is one moment of the database; readers notice nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from project_architect_db.engine.address import wal_of
from project_architect_db.engine.copying import copy_file
from project_architect_db.engine.partial_files import partial_file
from project_architect_db.errors import ArchitectError, BackupError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from project_architect_db.engine.database import DatabaseEngine

Progress = Callable[[str, int, int], object]
"""Called with the name of the step, and how much of it is done, of how much; also in
a thread."""

MANIFEST = ".json"
"""What the name of a manifest has after the name of its backup."""

PIECE = 1 << 22
_TYPES: dict[str, Any] = {
    "source": str, "bytes": int, "sha256": str, "duckdb": str, "library": str,
    "revision": str | None, "writers_waited": int | float,
}  # fmt: skip
HASH = "hash(*COLUMNS(*))"
_HOLD = "CREATE SCHEMA IF NOT EXISTS main"
"""Changes nothing, and makes DuckDB refuse a CHECKPOINT of somebody else, which would
move the log into the file while they are copied one after the other."""
MEMORY = "1GB"
"""What verifying a copy may use."""


@dataclass(frozen=True, slots=True)
class TableContent:
    """
    What is in a table.

    Attributes:
        rows: How many.
        checksum: Of their values, in whatever order they are.
    """

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """
    A backup, as its manifest says.

    Attributes:
        path: The database file.
        created_at: The moment of the database that it is, in UTC.
        source: The database file it is of.
        bytes: Its size.
        sha256: Of the file.
        duckdb: The version of DuckDB that wrote it.
        library: The version of this library.
        revision: The migration it is at; `None` without migrations.
        tables: Its tables, by ``schema.name``.
        writers_waited: The seconds that writers had to wait.
    """

    path: Path
    created_at: datetime
    source: str
    bytes: int
    sha256: str
    duckdb: str
    library: str
    revision: str | None
    tables: dict[str, TableContent]
    writers_waited: float

    @property
    def manifest(self) -> Path:
        """
        The file that says all this.
        """
        return manifest_of(self.path)

    def as_dict(self) -> dict[str, Any]:
        """
        For JSON.
        """
        return {
            **asdict(self), "path": str(self.path),
            "created_at": self.created_at.isoformat(),
        }  # fmt: skip


def manifest_of(path: Path) -> Path:
    """
    Where the manifest of a backup is.
    """
    return path.parent / f"{path.name}{MANIFEST}"


def read_manifest(path: Path) -> Backup:
    """
    Read what the manifest of a backup says.

    Raises:
        BackupError: There is none, or it is damaged.
    """
    manifest = manifest_of(path)
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        tables = {n: TableContent(**t) for n, t in found.pop("tables").items()}
        found["created_at"] = datetime.fromisoformat(found["created_at"])
        backup = Backup(**{**found, "path": path, "tables": tables})
        values = [(getattr(backup, name), type_) for name, type_ in _TYPES.items()]
        values += [(table.rows, int) for table in tables.values()]
        for value, type_ in values:
            if not isinstance(value, type_):
                raise TypeError(f"{value!r} is of another type")
    except FileNotFoundError as error:
        raise BackupError(
            f"{path} is no backup: there is no manifest {manifest.name} beside it"
        ) from error
    except (OSError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise BackupError(f"the manifest {manifest} is damaged: {error}") from error
    return backup


async def back_up(
    engine: DatabaseEngine, target: Path, *, overwrite: bool, progress: Progress
) -> Backup:
    """
    Copy the database, verify the copy, and give it its name at the very end.
    """
    source = engine.path
    if source is None:
        raise BackupError("a database in memory has no file to copy; export its tables")
    target = _allowed(target, source, overwrite=overwrite)
    try:
        with partial_file(target) as partial:
            created_at, waited = await copy_database(engine, source, partial, progress)
            content = await read_content(partial, progress)
            facts = await asyncio.to_thread(digest_of, partial, progress)
            backup = Backup(
                path=target, created_at=created_at, source=str(source), **facts,
                library=version("project-architect-db"), **content,
                writers_waited=round(waited, 3),
            )  # fmt: skip
            _publish(backup, partial)  # here: a thread would outlast a cancellation
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error}") from error
    return backup


def _allowed(target: Path, source: Path, *, overwrite: bool) -> Path:
    """
    Where the backup really goes, if it may.
    """
    target = Path(os.path.realpath(target))
    if {target, manifest_of(target)} & {source, wal_of(source)}:
        raise BackupError(f"{target} is the database itself; choose another name")
    if not target.parent.is_dir():
        raise BackupError(f"there is no folder {target.parent}; create it first")
    if target.is_dir():
        raise BackupError(f"{target} is a folder; give the name of a file in it")
    for file in (target, manifest_of(target)):
        if file.exists() and not overwrite:
            raise BackupError(f"{file} is there already; choose another name")
    return target


async def copy_database(
    engine: DatabaseEngine, source: Path, partial: Path, progress: Progress
) -> tuple[datetime, float]:
    """
    Copy the file, and the log of what is not in it yet, while nobody writes.
    """
    with suppress(ArchitectError, DBAPIError):  # a reader may need the old rows
        await engine.checkpoint()  # before the gate is taken: most is done then
    async with engine.transaction() as session:
        hold = "SELECT 1" if engine.settings.read_only else _HOLD
        await session.execute(text(hold), execution_options={"writes": ()})
        started, created_at = time.perf_counter(), datetime.now(UTC)
        await copy_file(
            source, partial, progress=lambda done, all_: progress("copy", done, all_)
        )
        if wal_of(source).exists():
            await copy_file(wal_of(source), wal_of(partial))
        waited = time.perf_counter() - started
    return created_at, waited


async def read_content(path: Path, progress: Progress) -> dict[str, Any]:
    """
    Open a copy, which moves its log into it, and look at all that is in its tables.
    """
    from project_architect_db.engine.database import DatabaseEngine

    try:
        async with DatabaseEngine(
            path, slow_query_seconds=None, memory_limit=MEMORY
        ) as engine:
            await engine.checkpoint()
            async with engine.session() as session:
                return await content_of(session, progress)
    except ArchitectError as error:
        raise BackupError(f"{path.name} cannot be read: {error}") from error


async def content_of(session: Any, progress: Progress) -> dict[str, Any]:
    """
    What is in all tables, which DuckDB wrote them, and their migration.
    """
    connection = await session.connection()
    names = await connection.run_sync(table_names)
    tables = {}
    for number, name in enumerate(names):
        progress("verify", number, len(names))
        tables[".".join(name)] = await _content_of(session, name)
    progress("verify", len(names), len(names))
    duckdb = await session.scalar(text("SELECT version()"))
    revision = await _revision(session, names)
    return {"tables": tables, "duckdb": duckdb, "revision": revision}


def table_names(connection: Connection) -> list[tuple[str, str]]:
    """
    All tables that are not DuckDB's own, with their schemas.
    """
    inspector = inspect(connection)
    return [
        (schema, name)
        for schema in sorted(inspector.get_schema_names())
        if schema not in ("information_schema", "pg_catalog")
        for name in sorted(inspector.get_table_names(schema=schema))
    ]


async def _content_of(session: Any, name: tuple[str, str]) -> TableContent:
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in name)
    count = f"SELECT count(*), coalesce(sum({HASH}), 0)::VARCHAR FROM {quoted}"  # noqa: S608 - a name, quoted
    found = await session.execute(text(count))
    rows, checksum = found.one()
    return TableContent(rows, checksum)


async def _revision(session: Any, names: list[tuple[str, str]]) -> str | None:
    if ("main", "alembic_version") not in names:
        return None
    found = await session.scalars(text("SELECT version_num FROM alembic_version"))
    return ", ".join(sorted(found)) or None


def digest_of(path: Path, progress: Progress) -> dict[str, Any]:
    """
    The size and the checksum of a file.
    """
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            progress("checksum", done, total)
    return {"bytes": done, "sha256": digest.hexdigest()}


def _publish(backup: Backup, partial: Path) -> None:
    """
    Give a finished backup its name: first the manifest, then the file.
    """
    manifest = manifest_of(partial)
    manifest.write_text(json.dumps(backup.as_dict(), indent=2) + "\n", encoding="utf-8")
    manifest.replace(backup.manifest)
    partial.replace(backup.path)
    sync_folder(backup.path.parent)


def sync_folder(folder: Path) -> None:
    """
    Have the new names on the disk, too, where a folder can be synced.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
