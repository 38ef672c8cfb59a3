"""
The command line: options all commands share, and how errors are shown.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from project_architect_db import __version__
from project_architect_db.cli.analysis import analyze
from project_architect_db.cli.backups import backup, restore
from project_architect_db.cli.exporting import export
from project_architect_db.cli.importing import import_
from project_architect_db.cli.maintenance import check, checkpoint, compact
from project_architect_db.cli.migrations import migrate_app
from project_architect_db.cli.quickstart import quickstart
from project_architect_db.cli.report import report
from project_architect_db.cli.revisions import init
from project_architect_db.cli.seeding import seed
from project_architect_db.errors import (
    ArchitectError,
    ConfigurationError,
    InvalidQuestionError,
)

if TYPE_CHECKING:
    import io

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The async data layer for apps on DuckDB.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 130 interrupted.",
)
for command in (
    init, quickstart, import_, seed, report, analyze, backup, restore, export, check,
    compact, checkpoint,
):  # fmt: skip
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(migrate_app, name="migrate")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"project-architect-db {__version__}, DuckDB {version('duckdb')}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    context.obj = {"debug": debug}


def main() -> None:
    """
    Run the command; an error is one line, unless ``--debug`` asks for more.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no bars is no reason to fail.
        cast("io.TextIOWrapper", stream).reconfigure(errors="replace")
    try:
        app()
    except ArchitectError as error:
        if "--debug" in sys.argv:
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"Error: {error}", style="red", markup=False, highlight=False
        )
        is_usage = isinstance(error, ConfigurationError | InvalidQuestionError)
        sys.exit(2 if is_usage else 1)
