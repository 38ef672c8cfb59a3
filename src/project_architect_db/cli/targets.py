"""
Which database, models and migrations a command is about.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import MetaData

from project_architect_db.engine import DatabaseEngine
from project_architect_db.errors import ArchitectError, ConfigurationError
from project_architect_db.settings import DatabaseSettings, Environment

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app", "-a", metavar="MODULE:NAME",
        help="Your engine or models, as in myapp.db:engine.  "
        "[default: $PROJECT_ARCHITECT_DB_APP]",
    ),
]  # fmt: skip
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--migrations", "-m", metavar="FOLDER",
        help="Your migrations.  [default: $PROJECT_ARCHITECT_DB_MIGRATIONS, or "
        "those of the library's models]",
    ),
]  # fmt: skip
EnvironmentOption = Annotated[
    Environment | None,
    typer.Option(
        "--environment", "-e",
        help="What revisions are told.  [default: $PROJECT_ARCHITECT_DB_ENVIRONMENT]",
    ),
]  # fmt: skip


def engine_of(database: str | None, app: str | None) -> DatabaseEngine:
    """
    The engine of a command: that of the application, or one of its own.

    Args:
        database: Which database; it goes before that of the application.
        app: Where the application has its engine or models.

    Raises:
        ConfigurationError: There is nothing of that name, or it is something else.
    """
    here = str(Path.cwd())
    if here not in sys.path:  # a console script begins without it
        sys.path.insert(0, here)
    app = app or DatabaseSettings().app
    if app is None:
        return DatabaseEngine(database)
    target = _load(app)
    if not isinstance(target, DatabaseEngine):
        return DatabaseEngine(database, metadata=target)
    if database is None:
        return DatabaseEngine(target.settings, metadata=target.metadata)
    settings = target.settings.model_dump(exclude={"url"})
    return DatabaseEngine(database, metadata=target.metadata, **settings)


def _load(app: str) -> DatabaseEngine | MetaData:
    module, _, names = app.partition(":")
    try:
        found: Any = import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except ArchitectError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"there is no {app!r}: {type(error).__name__}: {error}; write "
            "module:name, as in myapp.db:engine"
        ) from error
    if not isinstance(found, DatabaseEngine):
        found = getattr(found, "metadata", found)
    if not isinstance(found, DatabaseEngine | MetaData):
        raise ConfigurationError(
            f"{app} is {type(found).__name__}; name a DatabaseEngine, a declarative "
            "base, or its metadata"
        )
    return found
