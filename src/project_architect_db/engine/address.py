"""
Where a database is: what users write, as settings, a URL and a path.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from project_architect_db.errors import ConfigurationError
from project_architect_db.settings import DatabaseSettings


def settings_of(
    database: str | Path | URL | DatabaseSettings | None, values: dict[str, Any]
) -> DatabaseSettings:
    """
    The settings for what a `DatabaseEngine` was given.
    """
    if isinstance(database, DatabaseSettings):
        if values:
            raise ConfigurationError("give either DatabaseSettings or single settings")
        return database
    if isinstance(database, URL):
        values["url"] = database.render_as_string(hide_password=False)
    elif isinstance(database, str | Path) and str(database):
        values["url"] = str(database)
    elif database is not None:
        raise ConfigurationError(
            f"{database!r} names no database; give a path, ':memory:' or a URL"
        )
    return DatabaseSettings(**values)


def url_of(settings: DatabaseSettings) -> URL:
    """
    A path or URL as a URL of our dialect.
    """
    if "://" not in settings.url:
        url = URL.create("duckdb+async", database=settings.url)
    else:
        url = _our_url(settings.url)
    if url.database in (None, "", ":memory:"):
        # Both engines of a DatabaseEngine have to find the same one.
        url = url.set(database=f":memory:{uuid.uuid4().hex}")
    return url


def _our_url(text: str) -> URL:
    try:
        url = make_url(text)
        dialect = url.get_dialect().name
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"{text!r} is no usable URL: {error}; write a path, or duckdb+async:///path"
        ) from error
    if dialect != "duckdb" or url.drivername not in ("duckdb", "duckdb+async"):
        raise ConfigurationError(
            f"{url.drivername}:// is not supported; write a path, or "
            "duckdb+async:///path"
        )
    return url.set(drivername="duckdb+async")


def path_of(url: URL) -> Path | None:
    """
    The database file of a URL, or `None` for a database in memory.
    """
    name = url.database or ":memory:"
    return None if name.startswith(":memory:") else Path(os.path.realpath(name))


def wal_of(path: Path) -> Path:
    """
    The write-ahead log of a database file.
    """
    return path.with_name(f"{path.name}.wal")
