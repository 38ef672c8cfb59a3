"""
Tables as files that any tool can read: Parquet, CSV or JSON, in a folder.

DuckDB writes them itself, all from one snapshot, so that memory is bounded and no row
passes through Python; the engine has to allow the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from project_architect_db.engine.backup import digest_of, sync_folder, table_names
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.watching import watching
from project_architect_db.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from project_architect_db.engine.backup import Progress

Format = Literal["parquet", "csv", "json"]

_OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION zstd",
    "csv": "FORMAT csv, HEADER",
    "json": "FORMAT json",
}
_SUFFIXES = {"parquet": "parquet", "csv": "csv", "json": "jsonl"}
MANIFEST = "manifest.json"
SCHEMA = "schema.sql"

_SCHEMA = """
SELECT sql FROM (
    SELECT 1 AS place, sequence_oid AS oid, sql FROM duckdb_sequences()
    UNION ALL
    SELECT 2, table_oid, sql FROM duckdb_tables() WHERE NOT internal
    UNION ALL
    SELECT 3, index_oid, sql FROM duckdb_indexes()
    UNION ALL
    SELECT 4, view_oid, sql FROM duckdb_views() WHERE NOT internal)
WHERE sql IS NOT NULL ORDER BY place, oid
"""


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """
    The file of a table.

    Attributes:
        file: Its name.
        rows: How many are in it.
        bytes: Its size.
        sha256: Of the file.
    """

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """
    A folder of files, as its `manifest.json` says.

    Attributes:
        path: The folder.
        created_at: The moment of the database that it is, in UTC.
        source: The database.
        format: ``parquet``, ``csv`` or ``json`` (an object on each line).
        duckdb: The version of DuckDB that wrote it.
        library: The version of this library.
        tables: The files, by ``schema.name`` of their tables.
    """

    path: Path
    created_at: datetime
    source: str
    format: str
    duckdb: str
    library: str
    tables: dict[str, ExportedTable]

    def as_dict(self) -> dict[str, Any]:
        """
        For JSON.
        """
        return {
            **asdict(self), "path": str(self.path),
            "created_at": self.created_at.isoformat(),
        }  # fmt: skip


async def export_tables(
    database: str | Path | None, folder: str | Path, *, format: Format = "parquet",  # noqa: A002
    tables: Sequence[str] = (), progress: Progress = lambda *_: None, **settings: Any,
) -> Exported:  # fmt: skip
    """
    Write tables into a new folder, all of them as they are at one moment.

    The folder gets its name when everything is in it: the files, ``manifest.json`` with
    their rows and checksums, and ``schema.sql``, which creates the tables.

    Args:
        database: A path or URL; `None` for what the settings say.
        folder: Must not be there yet.
        format: Of the files.
        tables: Their names, ``name`` or ``schema.name``; by default all of them.
        progress: Called with the name of the step, what is done, and of how much.
        **settings: Any fields of `DatabaseSettings`.

    Raises:
        BackupError: There is no such table, or the folder cannot be written.

    Example:
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     await engine.create_all()
        >>> from project_architect_db.engine import export_tables
        >>> exported = await export_tables("app.duckdb", "files", tables=["projects"])
        >>> exported.tables["main.projects"].file
        'projects.parquet'
    """
    target = _allowed(Path(folder))
    part = target.with_name(f".{target.name}.{os.getpid()}.partial")
    settings["allowed_directories"] = [part]
    try:
        part.mkdir()
        async with DatabaseEngine(database, **settings) as engine:
            facts = await _write(engine, part, format, tables, progress)
        exported = Exported(
            path=target, format=format, library=version("project-architect-db"),
            **await asyncio.to_thread(_described, facts, part, progress),
        )  # fmt: skip
        _publish(exported, part)  # here: a thread would go on after a cancellation
    except (OSError, SQLAlchemyError) as error:
        raise BackupError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return exported


def _allowed(folder: Path) -> Path:
    """
    Where the folder really goes, if it may.
    """
    target = Path(os.path.realpath(folder))
    if target.exists():
        raise BackupError(f"{target} is there already; choose another name")
    if not target.parent.is_dir():
        raise BackupError(f"there is no folder {target.parent}; create it first")
    return target


async def _write(
    engine: DatabaseEngine, part: Path, format_: Format, wanted: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    """
    Have DuckDB write the files, and say which ones, and their rows.
    """
    async with engine.transaction() as session:
        connection = await session.connection()
        names = _chosen(await connection.run_sync(table_names), wanted)
        created_at, rows = datetime.now(UTC), {}
        for schema, table in names:
            tell = partial(progress, f"{schema}.{table}")
            file = _file_of(schema, table, format_)
            quoted = ".".join(_quoted(part) for part in (schema, table))
            where = str(part / file).replace("'", "''")
            with watching(engine, tell):
                copied = await connection.exec_driver_sql(
                    f"COPY {quoted} TO '{where}' ({_OPTIONS[format_]})",
                    execution_options={"timeout": None, "writes": ()},
                )
            rows[f"{schema}.{table}"] = file, copied.rowcount
            tell(100, 100)
        made = await session.scalars(text(_SCHEMA))
        (part / SCHEMA).write_text("\n".join(made) + "\n", encoding="utf-8")
        duckdb = await session.scalar(text("SELECT version()"))
    return {
        "created_at": created_at, "source": engine.name, "duckdb": duckdb, "rows": rows,
    }  # fmt: skip


def _chosen(
    names: list[tuple[str, str]], wanted: Sequence[str]
) -> list[tuple[str, str]]:
    if not wanted:
        return names
    known = {".".join(name): name for name in names}
    full = [name if "." in name else f"main.{name}" for name in dict.fromkeys(wanted)]
    if missing := [name for name in full if name not in known]:
        raise BackupError(
            f"there is no table {missing[0]}; there are {', '.join(known)}"
        )
    return [known[name] for name in full]


def _file_of(schema: str, table: str, format_: str) -> str:
    """
    A file name for a table, whatever characters its name has.
    """
    full = table if schema == "main" else f"{schema}.{table}"
    safe = "".join(c if c.isalnum() or c in "._-" else f"%{ord(c):02x}" for c in full)
    return f"{safe}.{_SUFFIXES[format_]}"


def _described(facts: dict[str, Any], part: Path, progress: Progress) -> dict[str, Any]:
    tables = {}
    for name, (file, rows) in facts.pop("rows").items():
        tables[name] = ExportedTable(file, rows, **digest_of(part / file, progress))
    return {**facts, "tables": tables}


def _publish(exported: Exported, part: Path) -> None:
    facts = json.dumps(exported.as_dict(), indent=2)
    (part / MANIFEST).write_text(facts + "\n", encoding="utf-8")
    part.rename(exported.path)
    sync_folder(exported.path.parent)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
