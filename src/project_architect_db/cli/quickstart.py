"""
``quickstart``: a git working tree into a database, and what it is made of.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from project_architect_db.cli.common import plain
from project_architect_db.domain.git_commands import find_root
from project_architect_db.domain.importer import ImportReport, import_working_tree
from project_architect_db.domain.overview import RepositoryOverview, repository_overview
from project_architect_db.engine import DatabaseEngine, run

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS_SHOWN = 12
NAME_WIDTH = 30
BAR_WIDTH = 24
INTERRUPTED = 130
"""The exit code of a command that SIGINT ended, as shells have it."""


def quickstart(
    path: Annotated[
        Path, typer.Argument(help="A git working tree, or a folder in one.")
    ] = Path(),
    database: Annotated[
        str | None,
        typer.Option(
            "--database", "-d",
            help="A file or URL.  [default: $PROJECT_ARCHITECT_DB_URL, "
            "or architect.duckdb]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:  # fmt: skip
    """
    Read a git working tree into a database.

    Then show what it is made of: languages, documents, commits, contributors.
    Commits, their changes of files and the tags become activity; the commits
    between two tags, a conversation. Running it again updates what has changed.

    Example: project-architect-db quickstart ~/src/my-app --database app.duckdb
    """
    try:
        report, overview, name = run(_import(path, database))
    except KeyboardInterrupt:
        print("Interrupted; run it again to read the rest.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        found = {"database": name, **asdict(report), "repository": asdict(overview)}
        print(json.dumps(found, indent=2, default=datetime.isoformat))
    else:
        _show(Console(), report, overview, name)


async def _import(
    path: Path, database: str | None
) -> tuple[ImportReport, RepositoryOverview, str]:
    await find_root(path)  # a wrong path leaves no database behind
    engine = DatabaseEngine(database)
    is_new = engine.path is not None and not engine.path.exists()
    async with engine:
        if is_new and engine.settings.migrations is None:
            await engine.migrate(backup=False)  # as `init` would
        else:
            await engine.create_all()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        ) as bar:
            task = bar.add_task("Looking at the history", total=None)

            def show(what: str, done: int, total: int) -> None:
                bar.update(
                    task, description=what, completed=done, total=total,
                    refresh=done == total,  # the next step may begin at once
                )  # fmt: skip

            report = await import_working_tree(
                engine,
                path,
                progress=partial(show, "Reading files"),
                history_progress=partial(show, "Reading commits"),
            )
        async with engine.session() as session:
            overview = await repository_overview(session, report.repository_id)
        return report, overview, engine.name


def _show(
    console: Console, report: ImportReport, found: RepositoryOverview, database: str
) -> None:
    months = list(found.commits_per_month.items())[-ROWS_SHOWN:]
    console.print(_summary(report, found, database))
    for title, columns, rows in (
        (
            "Languages",
            ("language", "documents", "lines"),
            [
                (share.language, share.documents, share.lines)
                for share in found.languages
            ],
        ),
        (
            "Contributors",
            ("name", "commits"),
            [(person["name"], person["commits"]) for person in found.contributors],
        ),
        ("Commits per month", ("month", "commits"), months),
    ):
        if rows:
            console.print()
            console.print(_table(title, columns, rows))


def _summary(report: ImportReport, found: RepositoryOverview, database: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    span = (
        f", {found.first_commit_at:%Y-%m-%d} to {found.last_commit_at:%Y-%m-%d}"
        if found.first_commit_at and found.last_commit_at
        else ""
    )
    for name, value in (
        ("Repository", found.name),
        ("Path", found.path or "unknown"),
        ("Branch", _branch(found)),
        ("Commits", f"{found.commits:,}{span}"),
        ("Releases", f"{found.releases:,}"),
        ("Conversations", f"{found.conversations:,}"),
        ("Documents", f"{found.documents:,} in {found.lines:,} lines"),
        ("Activity", f"{found.events:,} events"),
        *_changes(report).items(),
        ("Database", database),
    ):
        grid.add_row(name, plain(value))
    return grid


def _changes(report: ImportReport) -> dict[str, str]:
    """
    What this import did to the files and to the history.
    """
    files = {
        "new": report.added,
        "changed": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
    }
    history = {
        "new commits": report.commits,
        "new releases": report.releases,
        "forgotten": report.forgotten,
    }
    return {
        "Import": _counts(files),
        "History": _counts(history),
        "Skipped": _counts(report.skipped),
    }


def _branch(found: RepositoryOverview) -> str:
    if found.head_commit is None:
        return "no commit yet"
    return f"{found.branch or 'none'} at {found.head_commit[:12]}"


def _counts(numbers: dict[str, int]) -> str:
    """
    Numbers with their names, without those that are 0.
    """
    told = [
        f"{n:,} {name if n > 1 else name.removesuffix('s')}"
        for name, n in numbers.items()
        if n
    ]
    return ", ".join(told) or "nothing"


def _table(
    title: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> Table:
    """
    Names and numbers, and a bar for the last number.
    """
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim",
        caption_justify="left", box=None, pad_edge=False,
    )  # fmt: skip
    table.add_column(columns[0], max_width=NAME_WIDTH, no_wrap=True)
    for name in columns[1:]:
        table.add_column(name, justify="right")
    table.add_column(no_wrap=True)
    most = max(row[-1] for row in rows) or 1
    shown = rows[:ROWS_SHOWN]
    for name, *numbers in shown:
        bar = "█" * max(1, round(numbers[-1] / most * BAR_WIDTH))
        table.add_row(plain(name), *(f"{number:,}" for number in numbers), bar)
    if len(rows) > len(shown):
        table.caption = f"… and {len(rows) - len(shown):,} more"
    return table
