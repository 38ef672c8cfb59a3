"""
Tables derived from another one, kept in step with it in the same transaction.

Triggers of DuckDB could do that, but then it refuses upserts (scale-out-facts §2). So
a table names in its `info` what is derived from it, and every statement passes here:

- Each INSERT, UPDATE or DELETE of the table leaves the keys of the rows it wrote, where
  it says them; before COMMIT, what is derived from these rows is made anew.
- Where it does not say them (any other WHERE, INSERT … SELECT, SQL that is text alone),
  all rows are compared with what is derived from them.
- What commits without us (AUTOCOMMIT, another process) leaves the derived tables out of
  step. The open database knows since which commit they are in step without a break;
  where it does not, as when it was just opened, they are compared.

One transaction writes at a time, so nobody comes between the comparison and COMMIT.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from project_architect_db.dialect.written_keys import keys_written

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Column, Connection, MetaData, Table

    from project_architect_db.dialect.commit_log import CommitLog
    from project_architect_db.dialect.driver import DriverConnection
    from project_architect_db.dialect.execution import DuckDBExecutionContext

DERIVED = "derived"
"""In the `info` of a table: a list of what is derived from it."""

MANY = 100_000
"""Keys of rows from which on a transaction no longer counts them, and compares all."""


class Derived(Protocol):
    """
    What is derived from the rows of a table whose key is one column.

    Attributes:
        name: Of its own in each database.
        columns: Those it is made of; the first one is the key.
        tables: Where it is stored.
    """

    name: str
    columns: Sequence[Column[Any]]
    tables: Sequence[Table]

    def out_of_step(self, connection: Connection) -> Collection[Any]:
        """
        The keys of all rows that what is derived from them does not agree with.
        """
        ...

    def update(self, connection: Connection, keys: Collection[Any]) -> None:
        """
        Make anew what is derived from the rows of these keys, where there are any.

        Its statements say what they write, by the execution option `writes`.
        """
        ...


def _names(derived: Derived) -> frozenset[str]:
    """
    The tables whose rows say whether it is in step.
    """
    tables = (derived.columns[0].table, *derived.tables)
    return frozenset(table.name for table in tables)


class InStep:
    """
    Since which commit the derived tables of an open database have been in step.

    A commit that breaks it says so before it can be seen. So a reader that finds,
    after its query, that they are in step since a commit it has surely seen, knows
    that they were in step for the query.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, frozenset[str]]] = {}
        self._mutex = threading.Lock()
        self._committing = False

    def is_since(self, derived: Derived, commit: int) -> bool:
        """
        Whether it has been in step from that commit, or an earlier one, until now.
        """
        found = self._since.get(derived.name)
        return found is not None and found[0] <= commit

    def clear(self) -> None:
        """
        Nothing is known: the database has just been opened.
        """
        self._since = {}

    def before_commit(
        self, written: Collection[str] | None, kept: Mapping[str, frozenset[str]]
    ) -> None:
        """
        What a commit does not keep in step, and may have written, is so no longer.

        Args:
            written: Names of tables; `None` for any table.
            kept: The derived tables it has kept in step: names of all their tables.
        """
        with self._mutex:
            self._committing = True
            self._since = {
                name: (since, tables)
                for name, (since, tables) in self._since.items()
                if name in kept or (written is not None and tables.isdisjoint(written))
            }

    def after_commit(self, sequence: int, kept: Mapping[str, frozenset[str]]) -> None:
        """
        What a commit has kept in step is so from there on.
        """
        with self._mutex:
            for name, tables in kept.items():
                self._since.setdefault(name, (sequence, tables))

    def end_commit(self) -> None:
        """
        A commit has come to its end, whatever that was.
        """
        self._committing = False

    def compared(self, derived: Derived, commits: CommitLog, snapshot: int) -> None:
        """
        A reader found no difference in what it saw, that commit or a later one.
        """
        tables = _names(derived)
        with self._mutex:
            undisturbed = not self._committing and all(
                commit.tables is not None and commit.tables.isdisjoint(tables)
                for commit in commits.since(snapshot)
            )
            if undisturbed:
                self._since.setdefault(derived.name, (commits.sequence, tables))


class Changes:
    """
    What one transaction has written that other tables are derived from.
    """

    def __init__(self) -> None:
        # Keys of rows; `None` where only a comparison can tell.
        self._keys: dict[Derived, set[Any] | None] = {}
        # How many statements had run whose tables are not known, at the last look.
        self._seen: dict[Derived, int] = {}
        self.kept: dict[str, frozenset[str]] = {}

    def clear(self) -> None:
        """
        Forget a transaction that has ended.
        """
        self._keys, self._seen, self.kept = {}, {}, {}

    def note(self, context: DuckDBExecutionContext, table: Table) -> None:
        """
        Remember which rows of a table a statement has written.
        """
        for derived in table.info.get(DERIVED, ()):
            written = keys_written(context, derived.columns)
            known = self._keys.setdefault(derived, set())
            if known is None or written is None:
                self._keys[derived] = None
            else:
                known |= written
                if len(known) > MANY:
                    self._keys[derived] = None

    def distrust(self, derived: Derived) -> None:
        """
        Compare it, whatever is known.
        """
        self._keys[derived] = None

    def before_commit(
        self, driver: DriverConnection, connection: Connection | None,
        metadata: MetaData | None,
    ) -> None:  # fmt: skip
        """
        Bring everything in step that this transaction may have disturbed.

        Args:
            driver: Of this transaction.
            connection: Executes statements in it.
            metadata: What to look at after SQL of unknown effect.
        """
        if connection is None:
            return  # nothing has been executed
        disturbed = set(self._keys)
        if driver.unknown_statements and metadata is not None:
            for table in metadata.tables.values():
                disturbed.update(table.info.get(DERIVED, ()))
        self.bring_in_step(driver, connection, disturbed)

    def bring_in_step(
        self, driver: DriverConnection, connection: Connection,
        disturbed: Iterable[Derived],
    ) -> None:  # fmt: skip
        """
        Make derived tables agree with what has been written so far.
        """
        commit = driver.database.commits.sequence
        for derived in disturbed:
            keys: Collection[Any] | None = self._keys.get(derived, ())
            unknown = driver.unknown_statements
            was_in_step = unknown == self._seen.get(derived, 0) and (
                derived.name in self.kept
                or driver.database.in_step.is_since(derived, commit)
            )
            if keys is None or not was_in_step:
                if not exists(connection, derived):
                    continue
                keys = derived.out_of_step(connection)
                self._seen[derived] = unknown
            if keys:
                derived.update(connection, keys)
            self._keys.pop(derived, None)
            self.kept[derived.name] = _names(derived)


def exists(connection: Connection, derived: Derived) -> bool:
    """
    Whether the database has all tables and columns that this is about.
    """
    columns = {*derived.columns, *(c for table in derived.tables for c in table.c)}
    found = connection.exec_driver_sql(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE schema_name = current_schema() AND list_contains($1, table_name)",
        (sorted(_names(derived)),),
    )
    return {(c.table.name, c.name) for c in columns} <= {tuple(row) for row in found}
