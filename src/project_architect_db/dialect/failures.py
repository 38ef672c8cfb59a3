"""
DuckDB's errors, in our words.
"""

from __future__ import annotations

import difflib
import os
import re
from typing import TYPE_CHECKING, Any

import duckdb
from sqlalchemy import exc

from project_architect_db import errors
from project_architect_db.settings import DatabaseSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from project_architect_db.dialect.database import Database

NEWEST_FILE_VERSION = 999
"""DuckDB 2.0 writes 64–68 on request and 999 by default (duckdb-facts §10)."""

_CONFLICT = re.compile(
    r"Conflict on|write-write conflict|altered by a different transaction"
    r"|Attempting to modify table"
)
_CORRUPT = re.compile(r"Corrupt|Could not read enough|checksum")
_DUPLICATE = re.compile(r'[Dd]uplicate key "(.*?)"( violates|$)', re.DOTALL)
_REFERENCED = re.compile(
    r'foreign key constraint because key "(.*?)" is still referenced', re.DOTALL
)
_FOREIGN_KEYS = """
    SELECT table_name, constraint_name, constraint_column_names, referenced_table
    FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY'
    ORDER BY table_name, constraint_name
"""
_NO_TABLE = re.compile(
    r'(Catalog Error: )Table with name "?(.+?)"? does not exist!'
    r'(?:\nDid you mean "(.+)"\?)?'
)
_SYSTEM = ("duckdb_", "information_schema.", "pg_", "pragma_", "sqlite_")
_CREATE = "create the tables with engine.create_all(), or migrate the database"


def suggest(name: str, known: list[str]) -> str:
    """
    A hint for a mistyped name: the closest known ones.
    """
    close = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def is_conflict(error: BaseException) -> bool:
    """
    Whether another transaction got in the way.
    """
    return isinstance(error, duckdb.TransactionException) and bool(
        _CONFLICT.search(str(error))
    )


def is_duplicate(error: BaseException) -> bool:
    """
    Whether a key exists already, found by the statement or by COMMIT.

    COMMIT reports it as a TransactionException, not as a ConstraintException.
    """
    return isinstance(
        error, duckdb.ConstraintException | duckdb.TransactionException
    ) and bool(_DUPLICATE.search(str(error)))


def is_read_only_refusal(error: BaseException) -> bool:
    """
    Whether a READ ONLY transaction refused a statement that writes.
    """
    return isinstance(
        error, duckdb.TransactionException
    ) and "launched in read-only mode" in str(error)


def raise_ours(context: Any) -> BaseException | None:
    """
    Have SQLAlchemy raise our error instead of its own; the driver's is the cause.

    A listener for its event ``handle_error``.
    """
    unbound = context.sqlalchemy_exception
    error = unbound
    if type(unbound) is not exc.StatementError:
        error = context.original_exception
    # SQLAlchemy does not name the statement when an error appears with its rows.
    execution = context.execution_context
    statement = context.statement or (execution and execution.statement)
    found = _REFERENCED.search(str(error)) if isinstance(error, duckdb.Error) else None
    if found and (keys := _foreign_keys(found[1], statement, context.dialect.database)):
        return _still_referenced(found[1], statement, keys)
    return statement_error(error, statement, path=context.dialect.database.key)


def _foreign_keys(
    key: str, statement: str | None, database: Database
) -> list[tuple[str, str, list[str], str]]:
    """
    The constraints of DuckDB's that may be meant: it tells no table, but its columns.

    They are read beside the transaction, which the error has ended; so one that it has
    made itself is not found.
    """
    duck = database.cursor()
    try:
        rows = duck.execute(_FOREIGN_KEYS).fetchall()
    finally:
        database.close(duck)
    written = re.findall(r"\w+", (statement or "").lower())
    return [
        (table, name, columns, parent)
        for table, name, columns, parent in rows
        if key.startswith(f"{columns[0]}: ")
        and all(f"{column}: " in key for column in columns)
        and parent.lower() in written
    ]


def _still_referenced(
    key: str, statement: str | None, keys: Sequence[tuple[str, str, list[str], str]]
) -> errors.StillReferencedError:
    table, _, columns, parent = keys[0]
    value = key.removeprefix(f"{columns[0]}: ") if len(columns) == 1 else key
    rekeyed = not re.match(r"\s*DELETE", statement or "", re.IGNORECASE)
    error = errors.StillReferencedError(
        table=table, column=", ".join(columns), parent=parent, keys=[value],
        rekeyed=rekeyed, statement=statement,
    )  # fmt: skip
    named = " or ".join(
        f"{child}.{', '.join(columns)} (constraint {name} of the database)"
        for child, name, columns, _ in keys
    )
    # Its children cannot go in the same transaction: DuckDB remembers them till COMMIT.
    message = (
        f"{parent} {value} cannot {'be changed' if rekeyed else 'go'}: {named} still "
        "refers to it; delete those rows first, in a transaction of their own, or drop "
        "the constraint: foreign keys of the metadata are kept without it"
    )
    error.args = (message,)
    return error


def statement_error(  # noqa: PLR0911 - one return for each error
    error: BaseException, statement: str | None, *, path: str = ""
) -> errors.ArchitectError | None:
    """
    Our error for one of the driver, or of SQLAlchemy over values it cannot bind.

    Returns:
        `None` if the error is another one.
    """
    if type(error) is exc.StatementError:
        # Its cause is SQLAlchemy's own for a missing value, the type's for a wrong one.
        missing = isinstance(error.orig, exc.SQLAlchemyError)
        kind = errors.InvalidStatementError if missing else errors.InvalidValueError
        return kind(str(error.orig), statement=statement)
    if not isinstance(error, duckdb.Error):
        return None
    message = _first_paragraph(error)
    if match := _DUPLICATE.search(str(error)) if is_duplicate(error) else None:
        return errors.DuplicateError(message, statement=statement, key=match.group(1))
    if is_conflict(error):
        return errors.WriteConflictError(message)
    if isinstance(error, duckdb.InterruptException):
        return errors.ClosedError("this statement was stopped: its engine was closed")
    if _CORRUPT.search(message):
        return errors.CorruptDatabaseError(
            f"a part of the database cannot be read: {message}; restore a backup, or "
            "save the tables that can be read with EXPORT DATABASE",
            path=path,
        )
    if isinstance(error, duckdb.IntegrityError):
        return errors.ConstraintError(message, statement=statement)
    return _other_statement_error(error, message, statement)


def _other_statement_error(
    error: duckdb.Error, message: str, statement: str | None
) -> errors.StatementError:
    if match := _NO_TABLE.match(message):
        meant = match[3] if match[3] and not match[3].startswith(_SYSTEM) else None
        hint = f"did you mean {meant!r}?" if meant else _CREATE
        message = f"{match[1]}there is no table {match[2]}; {hint}"
        return errors.InvalidStatementError(message, statement=statement)
    if "attached in read-only mode" in message:
        message = f"the database was opened with read_only=True: {message}"
        return errors.InvalidStatementError(message, statement=statement)
    if _is_about_a_value(error):
        return errors.InvalidValueError(message, statement=statement)
    if isinstance(error, duckdb.ProgrammingError):
        return errors.InvalidStatementError(message, statement=statement)
    return errors.StatementError(message, statement=statement)


def explained(error: BaseException) -> BaseException:
    """
    Our error with DuckDB's as its cause; any other error as it is.
    """
    ours = statement_error(error, None)
    if ours is None:
        return error
    ours.__cause__ = error
    return ours


def _is_about_a_value(error: duckdb.Error) -> bool:
    return isinstance(
        error, duckdb.DataError | duckdb.InvalidInputException
    ) or "Unable to transform python value" in str(error)


def _first_paragraph(error: BaseException) -> str:
    return str(error).strip().partition("\n\n")[0]


def opening_error(  # noqa: PLR0911 - one return for each error
    error: duckdb.Error | OSError, *, path: Path | None
) -> errors.ArchitectError:
    """
    Our error for one that DuckDB raised while it opened a database.
    """
    text, name = str(error), str(path or ":memory:")
    if match := re.search(r"options were not recognized: (\S+)", text):
        return errors.ConfigurationError(
            f"there is no setting {match[1]}, neither here nor in DuckDB"
            f"{suggest(match[1], _setting_names())}"
        )
    # Before anything that opens the file: closing it again would give up the lock
    # that the other connection of this process has on it.
    if "different configuration" in text:
        return errors.DatabaseOpenError(
            f"{name} is open in this process through duckdb.connect(); close that "
            "connection, or use an engine in its place",
            path=name,
        )
    if (
        not isinstance(error, duckdb.OperationalError | OSError)
        and type(error) is not duckdb.Error
    ):
        return errors.ConfigurationError(f"cannot open {name}: {text}")
    if "Could not set lock" in text:
        pid = re.search(r"\(PID (\d+)\)", text)
        return errors.DatabaseLockedError(
            f"{name} is open in another process"
            + (f" (pid {pid[1]})" if pid else "")
            + "; DuckDB lets one process write, so stop that one or talk to it",
            path=name,
            pid=int(pid[1]) if pid else None,
        )
    if path is not None and os.path.isdir(path):  # noqa: PTH112 - it never raises
        return errors.DatabaseOpenError(
            f"{name} is a directory; name a file in it, such as {path / 'app.duckdb'}",
            path=name,
        )
    version = _file_version(path)
    if version and (version > NEWEST_FILE_VERSION or "version number" in text):
        return errors.DatabaseVersionError(
            f"{name} was written by a newer DuckDB (storage version {version}; "
            f"installed is {duckdb.__version__}); upgrade duckdb",
            path=name,
        )
    if version == 0 or _CORRUPT.search(text):
        return errors.CorruptDatabaseError(
            f"{name} cannot be read as a DuckDB database: {text}", path=name
        )
    if re.search(r"[Pp]ermission denied|Read-only file system", text):
        return errors.DatabasePermissionError(
            f"no permission to read and write {name}: {text}", path=name
        )
    if path is not None and not os.path.isdir(path.parent):  # noqa: PTH112
        return errors.DatabaseOpenError(
            f"cannot create {name}: the folder {path.parent} does not exist", path=name
        )
    return errors.DatabaseOpenError(f"cannot open {name}: {text}", path=name)


def _file_version(path: Path | None) -> int | None:
    """
    The storage version in the header of a DuckDB file; 0 for another file's.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return None
    if header[8:12] != b"DUCK":
        return 0
    return int.from_bytes(header[12:20], "little")


def _setting_names() -> list[str]:
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT name FROM duckdb_settings()").fetchall()
    return [*DatabaseSettings.model_fields, *(name for (name,) in rows)]
