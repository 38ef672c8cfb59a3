"""
Commands that look after a database file.
"""

from __future__ import annotations

from dataclasses import asdict

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    existing,
    interruptible,
    maintenance_settings,
    print_facts,
    print_json,
    progress_bar,
    shown,
    size,
)
from project_architect_db.engine import Health, check_integrity, run
from project_architect_db.engine import compact as rewrite


def checkpoint(database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """
    Move the write-ahead log into the database file.

    Example: project-architect-db checkpoint --database app.duckdb
    """

    async def move() -> tuple[Health, Health]:
        async with existing(database) as engine:
            before = await engine.health()
            await engine.checkpoint()
            return before, await engine.health()

    before, after = run(move())
    if as_json:
        print_json({
            "database": after.database, "wal_bytes_before": before.wal_bytes,
            "wal_bytes": after.wal_bytes, "file_bytes": after.file_bytes,
        })  # fmt: skip
        return
    print_facts({
        "Database": after.database,
        "Log": f"{size(before.wal_bytes)}, now {size(after.wal_bytes)}",
        "File": size(after.file_bytes),
    })  # fmt: skip


def compact(database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """
    Rewrite the file without its free room.

    Deleted and changed rows have left it. The new file is compared with the old one
    before it takes its place.

    Example: project-architect-db compact --database app.duckdb
    """
    with interruptible("the database is as it was."):
        address, settings = maintenance_settings(database)
        with progress_bar() as progress:
            done = run(rewrite(address, progress=progress, **settings))
    rows = sum(table.rows for table in done.tables.values())
    if as_json:
        print_json({
            "database": str(done.path), "bytes_before": done.bytes_before,
            "bytes": done.bytes, "tables": len(done.tables), "rows": rows,
        })  # fmt: skip
        return
    saved = done.bytes_before - done.bytes
    print_facts({
        "Database": shown(done.path),
        "File": f"{size(done.bytes_before)}, now {size(done.bytes)}",
        "Saved": f"{size(max(0, saved))}, {max(0, saved) / done.bytes_before:.0%}",
        "Verified": f"{rows:,} rows in {len(done.tables)} tables",
    })  # fmt: skip


def check(database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """
    Look for damage, orphans and keys that disagree.

    All of the database is read: its log and storage, duplicate keys, indexes, foreign
    keys and sequences. The exit code is 1 if something is wrong.

    Example: project-architect-db check --database app.duckdb
    """
    with interruptible("nothing was changed."):
        address, settings = maintenance_settings(database)
        with progress_bar() as progress:
            found = run(check_integrity(address, progress=progress, **settings))
    if as_json:
        print_json(asdict(found))
    else:
        print_facts({
            "Database": found.database,
            "Read": f"{sum(found.tables.values()):,} rows in {len(found.tables)} "
            f"tables, {found.keys} keys, {found.references} foreign keys",
            "Problems": f"{len(found.problems):,}" if found.problems else "none",
        })  # fmt: skip
        for problem in found.problems:
            print()
            print_facts({
                problem.kind.capitalize(): problem.table, "What": problem.detail,
                "Do": problem.advice,
            })  # fmt: skip
    if found.problems:
        raise typer.Exit(1)
