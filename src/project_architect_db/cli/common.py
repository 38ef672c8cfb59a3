"""
What several commands share: options, opening a database, progress, JSON.
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from project_architect_db.engine import DatabaseEngine
from project_architect_db.errors import DatabaseOpenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database", "-d",
        help="A file or URL.  [default: $PROJECT_ARCHITECT_DB_URL, "
        "or architect.duckdb]",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

INTERRUPTED = 130
"""The exit code of a command that SIGINT ended, as shells have it."""

MEMORY = "2GB"
"""What a command may use, unless the settings say otherwise."""

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def existing(database: str | None) -> DatabaseEngine:
    """
    The engine of a database that has to be there.

    Raises:
        DatabaseOpenError: There is no such file.
    """
    return found(DatabaseEngine(database))


def found(engine: DatabaseEngine) -> DatabaseEngine:
    """
    The same engine, whose database has to be there.

    Raises:
        DatabaseOpenError: There is no such file.
    """
    if engine.path is None or not engine.path.exists():
        raise DatabaseOpenError(
            f"there is no database {engine.name}; create it with init", path=engine.name
        )
    return engine


def maintained(database: str | None) -> DatabaseEngine:
    """
    The engine for work on a whole database, in which nobody else takes part.
    """
    address, settings = maintenance_settings(database)
    return DatabaseEngine(address, **settings)


def maintenance_settings(database: str | None) -> tuple[str | None, dict[str, Any]]:
    """
    What to open a database with for such work, if it is there.
    """
    settings: dict[str, Any] = {"slow_query_seconds": None}
    if existing(database).settings.memory_limit is None:
        settings["memory_limit"] = MEMORY
    # That a statement is slow, or that others wait for it, is no news here.
    logging.getLogger("project_architect_db.dialect.write_gate").setLevel("ERROR")
    return database, settings


@contextmanager
def interruptible(advice: str) -> Iterator[None]:
    """
    Have Ctrl-C end the command with one line that says how to go on.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(f"Interrupted; {advice}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """
    A bar for each step of long work, on a terminal; in a pipe nothing.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    ) as bar:  # fmt: skip
        steps: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = bar.add_task(step.capitalize())
            # The next step may begin at once.
            bar.update(steps[step], completed=done, total=total, refresh=done == total)

        yield show


def print_json(found: Any) -> None:
    """
    Print facts for scripts.
    """
    print(json.dumps(found, indent=2, default=str))


def print_facts(facts: dict[str, str]) -> None:
    """
    Print names and what there is to say, in two columns.
    """
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, plain(value))
    Console().print(grid)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """
    Print rows, numbers to the right.
    """
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim",
        box=None, pad_edge=False,
    )  # fmt: skip
    for name, value in zip(columns, rows[0], strict=True):
        table.add_column(name, justify="right" if isinstance(value, int) else "left")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else plain(str(v)) for v in row))
    Console().print(table)


def plain(value: str) -> Text:
    """
    Text from outside, without what a terminal or rich would take as a command.
    """
    return Text("".join(c if c.isprintable() else "�" for c in value))


def size(count: float) -> str:
    """
    Bytes as people say them.

    Example:
        >>> from project_architect_db.cli.common import size
        >>> size(1_234_567)
        '1.2 MB'
    """
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {UNITS[unit]}" if not unit else f"{count:.1f} {UNITS[unit]}"


def shown(path: Path) -> str:
    """
    A path as short as it can be said from here.
    """
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
