"""
``export``: tables as files that any tool can read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    interruptible,
    maintenance_settings,
    print_facts,
    print_json,
    print_table,
    progress_bar,
    shown,
    size,
)
from project_architect_db.engine import Exported, export_tables, run

FileFormat = Literal["parquet", "csv", "json"]


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the files.")],
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", "-t", help="Only this one; may be given many times."),
    ] = None,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Of the files.")
    ] = "parquet",
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Write tables into Parquet, CSV or JSON files.

    All of them as they are at one moment, with a manifest of rows and checksums.

    Example: project-architect-db export files --format csv --database app.duckdb
    """
    with interruptible("nothing was written."):
        exported = export_to(folder, database, file_format, tables or ())
    show_export(exported, as_json=as_json)


def export_to(
    folder: Path, database: str | None, file_format: FileFormat,
    tables: list[str] | tuple[str, ...] = (),
) -> Exported:  # fmt: skip
    """
    Write them, with a bar on a terminal.
    """
    address, settings = maintenance_settings(database)
    with progress_bar() as progress:
        return run(export_tables(
            address, folder, format=file_format, tables=tables, progress=progress,
            **settings,
        ))  # fmt: skip


def show_export(exported: Exported, *, as_json: bool) -> None:
    """
    Print what was written.
    """
    if as_json:
        print_json(exported.as_dict())
        return
    print_facts({
        "Folder": shown(exported.path),
        "Of": f"{exported.source}, {exported.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "Size": size(sum(table.bytes for table in exported.tables.values())),
    })  # fmt: skip
    if rows := [(t.file, t.rows, size(t.bytes)) for t in exported.tables.values()]:
        print()
        print_table("Files", ("file", "rows", "size"), rows)
