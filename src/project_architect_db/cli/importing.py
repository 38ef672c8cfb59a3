"""
``import``: git working trees into a database.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    interruptible,
    maintained,
    print_json,
    print_table,
    progress_bar,
    shown,
)
from project_architect_db.domain.git_commands import find_root
from project_architect_db.domain.importer import ImportReport, import_working_tree
from project_architect_db.engine import run


def import_(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Git working trees.")
    ],
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Read git working trees into a database.

    Running it again reads what has changed. Commits become activity, as they do with
    quickstart.

    Example: project-architect-db import ~/src/app ~/src/site --database app.duckdb
    """
    with interruptible("what was read is kept. Run it again to read the rest."):
        reports = run(_import(paths, database))
    if as_json:
        print_json(
            [{"path": str(p), **asdict(report)} for p, report in reports.items()]
        )
        return
    names = ("added", "updated", "unchanged", "removed", "commits", "releases")
    print_table(
        "Imported", ("tree", *names),
        [(shown(p), *(getattr(r, n) for n in names)) for p, r in reports.items()],
    )  # fmt: skip


async def _import(paths: list[Path], database: str | None) -> dict[Path, ImportReport]:
    # A wrong path is told before anything is written; one tree is read once.
    roots = dict.fromkeys([(await find_root(path))[0] for path in paths])
    reports = {}
    async with maintained(database) as engine:
        with progress_bar() as progress:
            for number, root in enumerate(roots):
                progress("working trees", number, len(roots))
                reports[root] = await import_working_tree(
                    engine, root,
                    progress=partial(progress, "files"),
                    history_progress=partial(progress, "commits"),
                )  # fmt: skip
    return reports
