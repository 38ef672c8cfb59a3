"""
Every error this library raises.

    ArchitectError
    ├── ConfigurationError            a wrong URL, setting name or value
    ├── ClosedError                   an engine or session used after close
    ├── PoolTimeoutError              all connections stayed in use
    ├── DatabaseOpenError             the database cannot be opened
    │   ├── DatabaseLockedError       another process has it
    │   ├── CorruptDatabaseError      it is damaged, or no DuckDB file
    │   ├── DatabaseVersionError      a newer DuckDB wrote it
    │   └── DatabasePermissionError   the file system says no
    ├── StatementError                the database refused a statement
    │   ├── ConstraintError           it would break a constraint
    │   │   ├── DuplicateError        … of a primary key or unique column
    │   │   └── ForeignKeyError       … of a foreign key
    │   │       ├── MissingParentError    it names a row that is not there
    │   │       └── StillReferencedError  rows refer to what was to go
    │   ├── InvalidValueError         a value does not fit its column
    │   ├── InvalidStatementError     wrong SQL, unknown table or column
    │   └── QueryTimeoutError         it ran longer than allowed, and was stopped
    ├── TransactionError
    │   ├── TransactionAbortedError   an earlier error already ended it
    │   ├── NestedTransactionError    a transaction inside a transaction
    │   ├── SessionInUseError         two tasks share one session
    │   ├── StreamEndedError          its transaction ended before the stream
    │   ├── UnsupportedOperationError savepoints and the like
    │   ├── WriteTimeoutError         another writer did not finish in time
    │   └── RetryableError            run the whole transaction again
    │       ├── StaleSnapshotError    it read before another commit
    │       └── WriteConflictError    DuckDB found a conflict
    ├── RecordError                   one record, or the data for it
    │   ├── NotFoundError             there is no such record
    │   ├── StaleRecordError          it was changed since it was read
    │   ├── UnknownFieldError         a model has no field of that name
    │   ├── NotLoadedError            a relationship was not asked for
    │   └── InvalidDataError          a value does not fit its field
    ├── InvalidQuestionError          a question of analytics makes no sense
    ├── UnsafePathError               a path could lead out of its root
    ├── BackupError                   a backup cannot be made, read or restored
    ├── MigrationError                revisions cannot be read, or do not fit
    │   └── RevisionFailedError       one of them failed, and changed nothing
    └── GitError                      git failed
        ├── GitNotFoundError          git is not installed
        └── NotARepositoryError       no git working tree

The error of the driver (or of SQLAlchemy) is always kept as ``__cause__``.
"""

from __future__ import annotations

import copyreg
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class ArchitectError(Exception):
    """
    The root: ``except ArchitectError`` catches whatever this library raises.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """
        Pickle the facts as they are: `__init__` would ask for them by name.
        """
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class ConfigurationError(ArchitectError, ValueError):
    """
    A URL, a setting's name or a setting's value is wrong.
    """


class ClosedError(ArchitectError):
    """
    An engine, session or connection was used after it was closed.
    """


class PoolTimeoutError(ArchitectError):
    """
    No connection became free within `pool_timeout`.

    Attributes:
        connections: How many there are, all of them in use.
        seconds: How long it was waited for one.
    """

    def __init__(self, *, connections: int, seconds: float) -> None:
        super().__init__(
            f"all {connections} connections were in use for {seconds:g} s; close "
            "sessions sooner, or raise `pool_size` or `max_overflow`"
        )
        self.connections = connections
        self.seconds = seconds


class DatabaseOpenError(ArchitectError):
    """
    The database cannot be opened.

    Attributes:
        path: What was to be opened.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class DatabaseLockedError(DatabaseOpenError):
    """
    Another process has the file open for writing.

    Attributes:
        path: The database file.
        pid: The process that holds it, where DuckDB names it.
    """

    def __init__(self, message: str, *, path: str, pid: int | None) -> None:
        super().__init__(message, path=path)
        self.pid = pid


class CorruptDatabaseError(DatabaseOpenError):
    """
    The file is damaged, truncated, or not a DuckDB database at all.
    """


class DatabaseVersionError(DatabaseOpenError):
    """
    The file was written by a newer DuckDB than the one installed.
    """


class DatabasePermissionError(DatabaseOpenError):
    """
    The file system does not let us read or write here.
    """


class StatementError(ArchitectError):
    """
    The database refused a statement; its transaction has ended.

    Attributes:
        statement: The SQL text, without values; `None` for a failed COMMIT.
    """

    def __init__(self, message: str, *, statement: str | None = None) -> None:
        super().__init__(message)
        self.statement = statement


class ConstraintError(StatementError):
    """
    The statement would break a constraint: NOT NULL, CHECK, a key.

    Attributes:
        statement: The SQL text, without values; `None` for a failed COMMIT.
        model: The name of the model, if a repository wrote.
        field: The field it is about, if that is known.
        index: Which row of many it was, from 0, if that is known.
    """

    model: str | None = None
    field: str | None = None
    index: int | None = None


class DuplicateError(ConstraintError):
    """
    A row with this primary or unique key exists already.

    Attributes:
        statement: The SQL text, without values; `None` for a failed COMMIT.
        key: The key in DuckDB's words, for example ``name: apollo``.
    """

    def __init__(
        self, message: str, *, statement: str | None = None, key: str | None = None
    ) -> None:
        super().__init__(message, statement=statement)
        self.key = key


class ForeignKeyError(ConstraintError):
    """
    A foreign key would refer to nothing.

    Attributes:
        statement: The SQL text, without values; `None` when it was found at COMMIT.
        table: The table of the child.
        column: Its foreign key.
        parent: The table it refers to.
        keys: Some of the keys it refers by, at most ten.
    """

    def __init__(
        self, message: str, *, table: str, column: str, parent: str,
        keys: Sequence[Any], statement: str | None = None,
    ) -> None:  # fmt: skip
        named = ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")
        child = f"{table}.{column}"
        super().__init__(
            message.format(child=child, parent=f"{parent} {named}"), statement=statement
        )
        self.table = table
        self.column = column
        self.parent = parent
        self.keys = tuple(keys[:10])


class MissingParentError(ForeignKeyError):
    """
    A row refers to a parent that does not exist, or was deleted.

    Attributes:
        statement: The SQL text, without values; `None` when it was found at COMMIT.
        table: The table of the child.
        column: Its foreign key.
        parent: The table it refers to.
        keys: Some of the keys that are missing there, at most ten.
        softly_deleted: The parents are there, but were deleted softly.
    """

    def __init__(
        self, *, table: str, column: str, parent: str, keys: Sequence[Any],
        softly_deleted: bool = False, statement: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "{child} refers to {parent}, which was softly deleted; restore the parent "
            "first, or choose another one"
            if softly_deleted
            else "{child} refers to {parent}, which does not exist; create the parent "
            "first, or correct the key",
            table=table, column=column, parent=parent, keys=keys, statement=statement,
        )  # fmt: skip
        self.softly_deleted = softly_deleted


class StillReferencedError(ForeignKeyError):
    """
    A row was to be deleted, or given another key, that others refer to.

    Attributes:
        statement: The SQL text, without values; `None` when it was found at COMMIT.
        table: The table of the rows that refer to it.
        column: Their foreign key.
        parent: The table it was to be deleted from.
        keys: Some of its keys, at most ten.
        rekeyed: It was not to be deleted, but to be given another key.
    """

    def __init__(
        self, *, table: str, column: str, parent: str, keys: Sequence[Any],
        rekeyed: bool = False, statement: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "{parent} cannot be given another key: {child} still refers to it; "
            "correct those rows in the same transaction"
            if rekeyed
            else "{parent} cannot go: {child} still refers to it; delete those rows "
            "first, or give the foreign key ondelete='CASCADE' or 'SET NULL'",
            table=table, column=column, parent=parent, keys=keys, statement=statement,
        )  # fmt: skip
        self.rekeyed = rekeyed


class InvalidValueError(StatementError):
    """
    A value cannot be converted to the type of its column.
    """


class InvalidStatementError(StatementError):
    """
    The SQL is wrong, or names a table, column or function that is not there.
    """


class QueryTimeoutError(StatementError):
    """
    The statement ran longer than its timeout and was stopped.

    Attributes:
        statement: The SQL text, without values.
        seconds: The timeout that was in force.
    """

    def __init__(self, *, statement: str | None, seconds: float) -> None:
        super().__init__(
            f"stopped after {seconds:g} s; raise `query_timeout`, or give this "
            "statement its own with execution_options(timeout=seconds)",
            statement=statement,
        )
        self.seconds = seconds


class TransactionError(ArchitectError):
    """
    The transaction, not the statement, is the problem.
    """


class TransactionAbortedError(TransactionError):
    """
    An earlier error ended this transaction; nothing of it was written.

    DuckDB answers OK to the COMMIT of such a transaction and rolls it back, so
    it is refused here instead.

    Attributes:
        original: The earlier error, which is the ``__cause__`` too.
    """

    def __init__(self, original: BaseException) -> None:
        super().__init__(
            "an earlier error ended this transaction and nothing of it was "
            "written; roll back and start again. The error was: "
            f"{str(original) or type(original).__name__}"
        )
        self.original = original


class NestedTransactionError(TransactionError):
    """
    The task that already writes asked to write in a second transaction.
    """

    def __init__(self, opened_at: str) -> None:
        super().__init__(
            f"this task already writes in the transaction opened at {opened_at}, "
            "and DuckDB has no nested transactions; pass that session on instead"
        )
        self.opened_at = opened_at


class SessionInUseError(TransactionError):
    """
    Two tasks used one session or connection at the same time.
    """


class StreamEndedError(TransactionError):
    """
    The rest of a stream is gone, because its transaction has ended.
    """


class UnsupportedOperationError(TransactionError):
    """
    DuckDB cannot do this at all; refused before it reached the database.
    """


class WriteTimeoutError(TransactionError):
    """
    Another transaction kept writing for longer than `write_timeout`.

    Attributes:
        waited: Seconds waited.
        holder: The name of the task that holds the gate.
        held_since: When it took the gate (UTC).
        opened_at: ``file:line in function`` that opened its transaction.
    """

    def __init__(
        self, message: str, *, waited: float, holder: str, held_since: datetime,
        opened_at: str,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.waited = waited
        self.holder = holder
        self.held_since = held_since
        self.opened_at = opened_at


class RetryableError(TransactionError):
    """
    The whole transaction may succeed when run again.

    `DatabaseEngine.run_in_transaction` does just that.
    """


class StaleSnapshotError(RetryableError):
    """
    A session read, another transaction committed, then the session wrote.

    Its write could have overwritten what it never saw.
    """

    def __init__(self) -> None:
        super().__init__(
            "another transaction committed after this session had begun to read, "
            "so its write could undo what it never saw; read and write in one "
            "`engine.transaction()`, or use `engine.run_in_transaction(...)`"
        )


class WriteConflictError(RetryableError):
    """
    DuckDB found this transaction in conflict with another one.
    """


def row_number(index: int | None) -> str:
    """
    How messages about one of many rows begin.
    """
    return "" if index is None else f"row {index}: "


class RecordError(ArchitectError):
    """
    Something is wrong with one record, or with the data for it.

    Attributes:
        model: The name of its model.
    """

    def __init__(self, message: str, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class NotFoundError(RecordError):
    """
    There is no such record, or it was deleted.

    Attributes:
        model: The name of the model.
        id: The id that was asked for; `None` if it was a query.
        index: Which row of many it was, from 0; `None` for a single one.
    """

    def __init__(self, *, model: str, id: Any = None, index: int | None = None) -> None:
        super().__init__(
            f"{row_number(index)}no {model} meets the conditions of the query"
            if id is None
            else f"{row_number(index)}there is no {model} with id {id!r}",
            model=model,
        )
        self.id = id
        self.index = index


class StaleRecordError(RecordError):
    """
    Somebody changed the record since it was read.

    Attributes:
        model: The name of the model.
        id: The id of the record.
        expected: The version it was expected to have; `None` if it has none.
        found: The version it has now; `None` if it is gone, or not known.
        index: Which row of many it was, from 0; `None` for a single one.
    """

    def __init__(
        self, *, model: str, id: Any, expected: Any, found: Any,
        index: int | None = None,
    ) -> None:  # fmt: skip
        problem = "was changed or deleted since it was read"
        if expected is not None:
            now = "has not" if found is None else f"has version {found!r} now"
            problem = f"was expected to have version {expected!r} and {now}"
        super().__init__(
            f"{row_number(index)}{model} {id!r} {problem}; read it again, and decide "
            "again",
            model=model,
        )
        self.id = id
        self.expected = expected
        self.found = found
        self.index = index


class UnknownFieldError(RecordError, ValueError):
    """
    The model has no field of that name.

    Attributes:
        model: The name of the model.
        field: The name that was given.
        suggestion: The closest name there is, if one is close.
        index: Which row of many it was in, from 0; `None` for a single one.
    """

    def __init__(
        self, *, model: str, field: str, suggestion: str | None = None,
        known: Sequence[str] = (), index: int | None = None,
    ) -> None:  # fmt: skip
        hint = (
            f"did you mean {suggestion!r}?"
            if suggestion
            else f"there are {', '.join(known)}"
        )
        super().__init__(
            f"{row_number(index)}{model} has no field {field!r}; {hint}", model=model
        )
        self.field = field
        self.suggestion = suggestion
        self.index = index


class NotLoadedError(RecordError):
    """
    A relationship was read that the query had not been asked to load.

    Attributes:
        model: The name of the model.
        field: The name of the relationship.
    """

    def __init__(self, *, model: str, field: str, advice: str | None = None) -> None:
        how = advice or f"`.load({field!r})` of a query"
        super().__init__(
            f"{model}.{field} was not loaded; load it by {how}", model=model
        )
        self.field = field


class InvalidDataError(RecordError, ValueError):
    """
    A value does not fit its field.

    Attributes:
        model: The name of the model or schema.
        field: The field, with dots for what is inside of it.
        value: The value that was given.
        index: Which row of many it was in, from 0; `None` for a single one.
    """

    def __init__(
        self, message: str, *, model: str, field: str, value: Any,
        index: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(f"{row_number(index)}{model}.{field}: {message}", model=model)
        self.field = field
        self.value = value
        self.index = index


class InvalidQuestionError(ArchitectError, ValueError):
    """
    A question of analytics makes no sense: nothing was asked of the database.

    Attributes:
        argument: What is wrong.
        value: What was given.
    """

    def __init__(self, message: str, *, argument: str, value: Any) -> None:
        super().__init__(f"{argument}: {message}")
        self.argument = argument
        self.value = value


class UnsafePathError(ArchitectError, ValueError):
    """
    A path leads out of its root, or could be taken for one that does.

    Attributes:
        path: The path that was given.
    """

    def __init__(self, path: object, reason: str = "it leads out of its root") -> None:
        shown = str(path)
        shown = f"{shown[:80]!r}…" if len(shown) > 80 else repr(shown)
        super().__init__(f"{shown}: {reason}")
        self.path = str(path)


class BackupError(ArchitectError):
    """
    A backup could not be made, is damaged, or cannot be restored.
    """


class MigrationError(ArchitectError):
    """
    Migrations cannot be read, or do not fit the database.
    """


class RevisionFailedError(MigrationError):
    """
    A migration failed; schema, data and revision are as they were before it.

    What failed is the ``__cause__``.

    Attributes:
        revision: Its id.
        applied: The migrations before it, which have run, and stay.
        original: What failed, which is the ``__cause__`` too.
    """

    def __init__(
        self, message: str, *, revision: str, applied: Sequence[Any],
        original: BaseException,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.revision = revision
        self.applied = tuple(applied)
        self.original = original


class GitError(ArchitectError):
    """
    A git command failed.

    Attributes:
        command: The command and its arguments.
        returncode: Its exit code.
        stderr: What it said.
    """

    def __init__(
        self, message: str | None = None, *, command: Sequence[str] = (),
        returncode: int = 0, stderr: str = "",
    ) -> None:  # fmt: skip
        super().__init__(
            message
            or f"`{' '.join(command)}` failed with exit code {returncode}: {stderr}"
        )
        self.command = tuple(command)
        self.returncode = returncode
        self.stderr = stderr


class GitNotFoundError(GitError):
    """
    The program `git` is not installed, or not on the PATH.
    """

    def __init__(self) -> None:
        super().__init__("git was not found on the PATH; install it and try again")


class NotARepositoryError(GitError):
    """
    The path is not inside a git working tree.

    Attributes:
        path: The path asked for.
    """

    def __init__(self, path: object, reason: str = "not a git working tree") -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
