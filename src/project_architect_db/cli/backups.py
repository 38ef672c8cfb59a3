"""
``backup`` and ``restore``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    existing,
    interruptible,
    print_facts,
    print_json,
    print_table,
    progress_bar,
    shown,
    size,
)
from project_architect_db.cli.exporting import export_to, show_export
from project_architect_db.cli.targets import AppOption, FolderOption, engine_of
from project_architect_db.engine import Backup, DatabaseEngine, run, verify_backup
from project_architect_db.engine import restore as restore_backup
from project_architect_db.engine.backup import read_manifest
from project_architect_db.errors import BackupError


def backup(
    path: Annotated[
        Path | None,
        typer.Argument(help="The file of the backup.  [default: name and time]"),
    ] = None,
    database: DatabaseOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
    file_format: Annotated[
        Literal["duckdb", "parquet"],
        typer.Option("--format", help="parquet: a folder that any tool can read."),
    ] = "duckdb",
    as_json: JsonOption = False,
) -> None:
    """
    Copy a database that nobody has open, and verify the copy.

    An application that has it open makes the same with `engine.backup()`.

    Example: project-architect-db backup monday.duckdb --database app.duckdb
    """
    if file_format == "parquet":
        if overwrite:
            raise typer.BadParameter("--overwrite replaces no folder")
        folder = path or Path(f"{_name_now(existing(database))}.backup")
        with interruptible("nothing was written."):
            exported = export_to(folder, database, "parquet")
        show_export(exported, as_json=as_json)
        return

    async def make() -> Backup:
        async with existing(database) as engine:
            target = path or Path(f"{_name_now(engine)}.backup.duckdb")
            with progress_bar() as progress:
                return await engine.backup(
                    target, overwrite=overwrite, progress=progress
                )

    with interruptible("nothing was written."):
        made = run(make())
    _show("Backup", made, as_json=as_json)


def restore(
    path: Annotated[Path, typer.Argument(help="The backup.")],
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check the backup.")
    ] = False,
    any_revision: Annotated[
        bool,
        typer.Option("--any-revision", help="Even one that the code does not know."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Put a verified backup in the place of a database; the old file is kept.

    A backup that is at a migration which the code does not know is refused, as
    `migrate` would refuse the database.

    Example: project-architect-db restore monday.duckdb --database app.duckdb
    """
    if verify:
        with interruptible("nothing was changed."), progress_bar() as progress:
            found = run(verify_backup(path, progress=progress))
        _show("Verified", found, as_json=as_json)
        return
    engine = engine_of(database, app)
    if engine.path is None:
        raise BackupError("a database in memory cannot be restored; name a file")
    known = None if any_revision else _known_revisions(path, engine, migrations)
    with interruptible("the database is as it was."), progress_bar() as progress:
        restored = run(
            restore_backup(path, engine.path, known_revisions=known, progress=progress)
        )
    _show(
        "Restored", restored.backup, as_json=as_json, database=str(restored.path),
        kept=str(restored.kept) if restored.kept else None,
    )  # fmt: skip


def _known_revisions(
    path: Path, engine: DatabaseEngine, folder: Path | None
) -> set[str] | None:
    """
    Those of the migrations, if the backup is at one.
    """
    if read_manifest(path).revision is None:
        return None
    from project_architect_db.engine.migrations import Migrations

    return {revision.id for revision in Migrations(engine, folder).history()}


def _name_now(engine: DatabaseEngine) -> str:
    stem = engine.path.stem if engine.path else ""
    return f"{stem}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def _show(title: str, backup: Backup, *, as_json: bool, **more: str | None) -> None:
    if as_json:
        print_json(backup.as_dict() | more)
        return
    facts = {
        title: shown(backup.path),
        "Of": f"{backup.source}, {backup.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "Size": size(backup.bytes),
        "Revision": backup.revision or "none",
        "Rows": f"{sum(table.rows for table in backup.tables.values()):,}",
        "Database": more.get("database"),
        "Old file": more.get("kept"),
    }
    print_facts({name: value for name, value in facts.items() if value})
    if tables := [(name, table.rows) for name, table in backup.tables.items()]:
        print()
        print_table("Tables", ("table", "rows"), tables)
