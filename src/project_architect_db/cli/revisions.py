"""
``init``, ``migrate new`` and ``migrate stamp``: new databases, folders and revisions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    found,
    interruptible,
    print_facts,
    print_json,
    progress_bar,
    shown,
)
from project_architect_db.cli.migrations import EPILOG, migrate_app
from project_architect_db.cli.targets import (
    AppOption,
    EnvironmentOption,
    FolderOption,
    engine_of,
)
from project_architect_db.engine import DatabaseEngine, run
from project_architect_db.errors import ConfigurationError

if TYPE_CHECKING:
    from project_architect_db.engine.migrations.creating import CreatedDatabase


def init(
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    environment: EnvironmentOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace a database; the old file is kept."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """
    Create a database at the newest revision.

    With a folder for your own migrations that is not there yet, write it, too; a
    database that is there is left alone then.

    Example: project-architect-db init --database app.duckdb

    Example: project-architect-db init --app myapp.db:engine --migrations migrations
    """
    engine = engine_of(database, app)
    folder = migrations or engine.settings.migrations
    written: list[Path] = []
    if folder is not None and not folder.exists():
        written = _write_folder(folder, app or engine.settings.app)
    path, created = engine.path, None
    if force or not (written and path is not None and path.exists()):
        with interruptible("no database was made."), progress_bar() as progress:
            from project_architect_db.engine.migrations import Migrations
            from project_architect_db.engine.migrations.creating import create_database

            made = Migrations(engine, folder, environment=environment)
            created = run(create_database(made, force=force, progress=progress))
    _show_init(engine, created, written, as_json=as_json)


def _write_folder(folder: Path, app: str | None) -> list[Path]:
    from project_architect_db.engine.migrations.folder import write_folder

    if app is None or ":" not in app:
        raise ConfigurationError(
            "whose migrations? name your engine or models, as in --app myapp.db:engine"
        )
    return write_folder(folder, app)


def _show_init(
    engine: DatabaseEngine, created: CreatedDatabase | None, written: list[Path], *,
    as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        print_json({
            "database": engine.name,
            "created": created is not None,
            "revision": list(created.revision) if created else None,
            "kept": str(created.kept) if created and created.kept else None,
            "files": [str(path) for path in written],
        })  # fmt: skip
        return
    facts = {"Database": f"{engine.name}, as it was"}
    if created is not None:
        facts = {
            "Database": engine.name,
            "Revision": ", ".join(created.revision) or "none",
        }
        if created.kept is not None:
            facts["Old file"] = str(created.kept)
    if written:
        facts["Migrations"] = ", ".join(map(shown, written))
    print_facts(facts)


@migrate_app.command(epilog=EPILOG)
def new(
    message: Annotated[str, typer.Argument(help="What it does, in a few words.")],
    database: Annotated[
        str | None,
        typer.Option(
            "--database", "-d",
            help="What to compare with.  [default: what the migrations make]",
        ),
    ] = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Compare nothing; you write it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """
    Write a migration: what has to change for the database to be as the models.

    Look at it before you run it: a renamed column looks like one that went, and
    another one that came.

    Example: project-architect-db migrate new "add prices" --app myapp.db:engine
    """
    path = run(_new(message, database, app, migrations, empty=empty))
    if as_json:
        print_json({"path": str(path) if path else None})
    elif path is None:
        print("Models and migrations agree; there is nothing to write.")
    else:
        print_facts({"Migration": shown(path)})


async def _new(
    message: str, database: str | None, app: str | None, folder: Path | None, *,
    empty: bool,
) -> Path | None:  # fmt: skip
    from project_architect_db.engine.migrations import Migrations

    engine = engine_of(database, app)
    migrations = Migrations(engine, folder)
    if database is not None:
        async with found(engine):
            return await migrations.new(message, empty=empty)
    nowhere = engine.settings.model_copy(update={"url": ":memory:"})
    async with DatabaseEngine(nowhere, metadata=engine.metadata) as memory:
        made = migrations.over(memory)
        await made.upgrade("heads")
        return await made.new(message, empty=empty)


@migrate_app.command(epilog=EPILOG)
def stamp(
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    to: Annotated[
        str, typer.Option("--to", metavar="REVISION", help="Which revision.")
    ] = "head",
    as_json: JsonOption = False,
) -> None:
    """
    Say that a database is at a revision, running nothing.

    For one whose tables were created by `create_all`. That it is at head is
    compared with the models.

    Example: project-architect-db migrate stamp --database app.duckdb
    """
    from project_architect_db.engine.migrations import Migrations

    async def write() -> tuple[str, ...]:
        made = Migrations(engine_of(database, app), migrations)
        async with found(made.engine):
            await made.stamp(to)
            return (await made.status()).current

    current = run(write())
    if as_json:
        print_json({"current": current})
    else:
        print_facts({"Revision": ", ".join(current) or "none"})
