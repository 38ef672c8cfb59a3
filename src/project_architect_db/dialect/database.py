"""
One open DuckDB database of this process: root connection, write gate, commit log.

Every connection to the same file is a cursor of one root connection, whatever
engine, event loop or thread asked for it; so they share the write gate too.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import duckdb

from project_architect_db.dialect.commit_log import CommitLog
from project_architect_db.dialect.derived import InStep
from project_architect_db.dialect.failures import opening_error
from project_architect_db.dialect.statements import StatementCache
from project_architect_db.dialect.write_gate import WriteGate
from project_architect_db.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

SAFE_CONFIG: dict[str, Any] = {
    "storage_compatibility_version": "v1.5.0",
    "TimeZone": "UTC",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "enable_external_access": False,
}
"""What a database is opened with unless the user says otherwise: files an older
DuckDB can still open, times in UTC, and no SQL that reaches out of the database."""

_LAST = (
    "TimeZone",
    "allowed_directories",
    "enable_external_access",
    "lock_configuration",
)
"""Set after opening, in this order: each may forbid to set the ones before it."""


class Database:
    """
    An open database, shared by all connections to it.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.config: dict[str, Any] = {}
        self.gate = WriteGate()
        self.commits = CommitLog()
        self.in_step = InStep()
        self.statements = StatementCache()
        self._users = 0
        self._root: duckdb.DuckDBPyConnection | None = None
        self._mutex = threading.Lock()

    @property
    def path(self) -> Path | None:
        """
        The file, or `None` for a database in memory.
        """
        return None if self.key.startswith(":memory:") else Path(self.key)

    @property
    def is_open(self) -> bool:
        """
        Whether anybody is connected to it.
        """
        return self._root is not None

    def cursor(
        self, config: Mapping[str, Any] | None = None
    ) -> duckdb.DuckDBPyConnection:
        """
        A new connection; the first one opens the database. Blocks.

        Args:
            config: DuckDB's settings; by default those it is open with.

        Raises:
            DatabaseOpenError: It is locked, damaged, no database …
            ConfigurationError: A setting is wrong, or it is open with other ones.
        """
        with self._mutex:
            if self._root is None:
                self.config = {**SAFE_CONFIG, **(config or {})}
                self._root = self._open()
                self.in_step.clear()  # another process may have written meanwhile
            elif config is not None:
                self._refuse_other_settings({**SAFE_CONFIG, **config})
            cursor = self._root.cursor()
            self._users += 1
        # So that query_progress() knows; it costs nothing measurable.
        if not self.config.get("lock_configuration"):
            cursor.execute("SET enable_progress_bar = true")
            cursor.execute("SET enable_progress_bar_print = false")
        return cursor

    def _refuse_other_settings(self, wanted: Mapping[str, Any]) -> None:
        differing = sorted(
            name
            for name in wanted.keys() | self.config.keys()
            if wanted.get(name) != self.config.get(name)
        )
        if differing:
            raise ConfigurationError(
                f"{self.key} is open in this process with other settings "
                f"({', '.join(differing)}); close the other engine, or use the "
                "same settings"
            )

    def close(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """
        Close a connection; the last one of a file lets go of the file.
        """
        with self._mutex:
            cursor.close()
            self._users -= 1
            if self.path:
                self._close_if_unused()

    def shut(self) -> None:
        """
        Let go of a database in memory too, once nobody uses it any more.
        """
        with self._mutex:
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._users and self._root is not None:
            self._root.close()
            self._root = None
            self.commits.append(None)  # another process may write from now on

    def _open(self) -> duckdb.DuckDBPyConnection:
        first = {k: v for k, v in self.config.items() if k not in _LAST}
        path = self.path
        wal = Path(f"{path}.wal") if path else None
        wal_size = _size(wal)
        try:
            root = duckdb.connect(
                ":memory:" if path is None else str(path), config=first
            )
            try:
                if wal is not None and wal_size:
                    self._check_replay(root, wal, wal_size)
                self._set_last(root)
            except BaseException:
                # Closing would cut the log.
                root.execute("PRAGMA disable_checkpoint_on_shutdown")
                root.close()
                raise
        except (duckdb.Error, OSError) as error:
            raise opening_error(error, path=path) from error
        return root

    def _check_replay(
        self, root: duckdb.DuckDBPyConnection, wal: Path, size_before: int
    ) -> None:
        """
        Keep a write-ahead log aside that was not replayed to its end, then checkpoint.

        DuckDB drops what follows a damaged length field without a word (duckdb
        #25432), and an unfinished last commit likewise; the file is cut at the next
        write, so this is the last moment to save it.
        """
        (text,) = root.execute("SELECT wal_size FROM pragma_database_size()").fetchone()  # type: ignore[misc]
        number, unit = re.fullmatch(r"([\d.]+) (\w+)", text).groups()  # type: ignore[union-attr]
        scale = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
        replayed = (float(number) + 0.1) * scale[unit]
        if replayed < size_before:
            read_only = str(self.config.get("access_mode")).upper() == "READ_ONLY"
            logger.warning(
                "the write-ahead log of %s was replayed to about byte %d of %d; what "
                "follows is an unfinished commit or damage, and %s",
                self.path,
                replayed,
                size_before,
                "stays where it is" if read_only else f"was kept in {_keep(wal)}",
            )
        root.execute("CHECKPOINT")

    def _set_last(self, root: duckdb.DuckDBPyConnection) -> None:
        for name in _LAST:
            # DuckDB refuses to switch external access on, even where it is on.
            value = self.config.get(name)
            already_on = name == "enable_external_access" and _is_true(value)
            if value is not None and not already_on:
                try:
                    root.execute(f"SET GLOBAL {name} = {_literal(value)}")
                except duckdb.Error as error:
                    raise ConfigurationError(f"setting {name!r}: {error}") from error


def _literal(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + str(value).replace("'", "''") + "'"


def _is_true(value: object) -> bool:
    return str(value).lower() in ("true", "1")


def _size(path: Path | None) -> int:
    with suppress(OSError):  # whoever opens it says it better
        return path.stat().st_size if path else 0
    return 0


def _keep(wal: Path) -> Path:
    """
    A copy of a log, named by its content: once for each log, and never over another.
    """
    with wal.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kept = wal.with_name(f"{wal.name}.{digest[:12]}.kept")
    if not kept.exists():
        unfinished = kept.with_suffix(".tmp")
        shutil.copy2(wal, unfinished)
        unfinished.replace(kept)
    return kept


_databases: WeakValueDictionary[str, Database] = WeakValueDictionary()
_registry_mutex = threading.Lock()


def shared_database(path: str) -> Database:
    """
    The database of this process for a file (or a named ``:memory:name``).
    """
    key = path if path.startswith(":memory:") else os.path.realpath(path)
    with _registry_mutex:
        for database in tuple(_databases.values()):
            if database.key == key or _same_file(database.path, key):
                return database
        database = _databases[key] = Database(key)
        return database


def _same_file(path: Path | None, other: str) -> bool:
    """
    Whether both are one file, by another name: a hard link.
    """
    with suppress(OSError):  # one of them does not exist
        return path is not None and path.samefile(other)
    return False


def open_files() -> list[Path]:
    """
    The database files this process has open.
    """
    with _registry_mutex:
        databases = list(_databases.values())
    return [
        database.path for database in databases if database.path and database.is_open
    ]
