"""
``migrate``, and its commands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from project_architect_db.cli.common import (
    DatabaseOption,
    JsonOption,
    found,
    interruptible,
    print_facts,
    print_json,
    progress_bar,
)
from project_architect_db.cli.migration_output import (
    ids_of,
    show_check,
    show_dry_run,
    show_migrated,
    show_revisions,
)
from project_architect_db.cli.targets import (
    AppOption,
    EnvironmentOption,
    FolderOption,
    engine_of,
)
from project_architect_db.engine import run

if TYPE_CHECKING:
    from project_architect_db.engine.migrations.migrations import Migrations
    from project_architect_db.engine.migrations.results import MigrationStatus

ResultT = TypeVar("ResultT")

Where = tuple[str | None, str | None, Any, Any]
"""What says which database, application, folder, and environment."""

STOPPED = "the migration that ran changed nothing; those before it stay."

EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 130 interrupted."

migrate_app = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, epilog=EPILOG
)

ToOption = Annotated[
    str | None, typer.Option("--to", metavar="REVISION", help="Where to.")
]
NoBackupOption = Annotated[
    bool, typer.Option("--no-backup", help="Make no copy of the database before.")
]


def _with_migrations(
    database: str | None, app: str | None, folder: Any, environment: Any,
    use: Callable[[Migrations], Awaitable[ResultT]],
) -> ResultT:  # fmt: skip
    """
    Do something with the migrations of a database that has to be there.
    """

    async def main() -> ResultT:
        from project_architect_db.engine.migrations import Migrations

        migrations = Migrations(
            engine_of(database, app), folder, environment=environment
        )
        async with found(migrations.engine):
            return await use(migrations)

    return run(main())


@migrate_app.callback()
def migrate(
    context: typer.Context,
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    environment: EnvironmentOption = None,
    to: ToOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="On a copy of the database only.")
    ] = False,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL instead of running it.")
    ] = False,
    no_backup: NoBackupOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Bring a database to the newest revision, each migration in a transaction.

    A database file that has tables is copied before, beside it. If a migration
    fails, it has changed nothing; those before it stay.

    Example: project-architect-db migrate --database app.duckdb
    """
    where, target = (database, app, migrations, environment), to or "head"
    if context.invoked_subcommand is not None:
        return
    if sql:
        _print_sql(where, target)
    elif dry_run:
        _try(where, target, as_json=as_json)
    else:
        _upgrade(where, target, backup=not no_backup, as_json=as_json)


def _try(where: Where, target: str, *, as_json: bool) -> None:
    with interruptible("nothing was changed."), progress_bar() as progress:
        tried = _with_migrations(*where, lambda m: m.dry_run(target, progress=progress))
    show_dry_run(tried, as_json=as_json)


def _upgrade(where: Where, target: str, *, backup: bool, as_json: bool) -> None:
    with interruptible(STOPPED), progress_bar() as progress:
        done = _with_migrations(
            *where, lambda m: m.upgrade(target, backup=backup, progress=progress)
        )
    show_migrated(done, as_json=as_json)


def _print_sql(where: Where, target: str) -> None:
    """
    From where the database is; from the beginning if there is none.
    """

    async def make() -> str:
        from project_architect_db.engine.migrations import Migrations

        database, app, folder, environment = where
        made = Migrations(engine_of(database, app), folder, environment=environment)
        path = made.engine.path
        start: tuple[str, ...] = ("base",)
        if path is not None and path.exists():
            async with made.engine:
                start = (await made.status()).current or start
        return await made.sql(target, start=", ".join(start))

    if sql := run(make()).strip():
        print(sql)


@migrate_app.command(epilog=EPILOG)
def status(
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Show which revision a database is at, and what it is missing.

    Example: project-architect-db migrate status --database app.duckdb
    """

    async def look(m: Migrations) -> MigrationStatus:
        return await m.status()

    at = _with_migrations(database, app, migrations, None, look)
    if as_json:
        print_json(at.as_dict())
        return
    print_facts({
        "Database": at.database,
        "Revision": ids_of(at.current),
        "Newest": ids_of(at.heads),
        "Pending": f"{len(at.pending)}",
    })  # fmt: skip
    if at.pending:
        print()
        show_revisions("Pending", at.pending)


@migrate_app.command(epilog=EPILOG)
def history(
    app: AppOption = None, migrations: FolderOption = None, as_json: JsonOption = False
) -> None:
    """
    List all migrations, newest first.

    Example: project-architect-db migrate history --migrations migrations
    """
    from project_architect_db.engine.migrations import Migrations

    revisions = Migrations(engine_of(None, app), migrations).history()
    if as_json:
        print_json([revision.as_dict() for revision in revisions])
    elif revisions:
        show_revisions("Migrations", revisions)
    else:
        print("There are no migrations yet; `migrate new` writes one.")


@migrate_app.command(epilog=EPILOG)
def check(
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Try the upgrade on a copy, then compare models and database.

    The copy is beside the database, and gone afterwards. Exits with 1 if a
    migration fails there, or if the models are not what it leads to.

    Example: project-architect-db migrate check --database app.duckdb
    """
    with interruptible("nothing was changed."), progress_bar() as progress:
        checked = _with_migrations(
            database, app, migrations, environment, lambda m: m.check(progress=progress)
        )
    show_check(checked, as_json=as_json)


@migrate_app.command(epilog=EPILOG)
def rollback(
    database: DatabaseOption = None,
    app: AppOption = None,
    migrations: FolderOption = None,
    environment: EnvironmentOption = None,
    to: Annotated[
        str, typer.Option("--to", metavar="REVISION", help="Where to, or base.")
    ] = "-1",
    no_backup: NoBackupOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Bring a database back to an older revision; by default the one before.

    Example: project-architect-db migrate rollback --database app.duckdb
    """
    with interruptible(STOPPED), progress_bar() as progress:
        done = _with_migrations(
            database, app, migrations, environment,
            lambda m: m.downgrade(to, backup=not no_backup, progress=progress),
        )  # fmt: skip
    show_migrated(done, as_json=as_json)
