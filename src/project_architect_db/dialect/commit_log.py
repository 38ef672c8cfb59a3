"""
Which tables each commit wrote, in commit order.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REMEMBERED = 10_000

EVERYTHING = "*"
"""Among tables, for what any commit may change."""


class Commit(NamedTuple):
    """
    One committed transaction.

    Attributes:
        sequence: 1 for the first commit since the database was opened.
        tables: Names of the tables it wrote; `None` when it ran SQL of unknown
            effect, which may have written any table.
    """

    sequence: int
    tables: frozenset[str] | None


class CommitLog:
    """
    The commits of one open database, the last 10,000 of them in detail.

    Appended on the writer's worker thread after COMMIT and before the write gate
    opens, so its order is the order of the database.
    """

    def __init__(self) -> None:
        self._commits: deque[Commit] = deque(maxlen=REMEMBERED)
        self._mutex = threading.Lock()
        self._last: dict[str, int] = {}
        self._last_change: dict[str, int] = {}
        self._last_unknown = 0
        self._listeners: list[Callable[[], object]] = []
        self.sequence = 0

    def append(
        self, tables: frozenset[str] | None, changed: frozenset[str] | None = None
    ) -> int:
        """
        Record a commit and return its sequence number.

        Args:
            tables: As in `Commit`.
            changed: Those of them in which more was done than to add rows; by default
                all.
        """
        with self._mutex:
            commit = Commit(self.sequence + 1, tables)
            self._commits.append(commit)
            self._last[EVERYTHING] = commit.sequence
            if tables is None:
                self._last_unknown = commit.sequence
            else:
                self._last |= dict.fromkeys(tables, commit.sequence)
                changes = tables if changed is None else changed
                self._last_change |= dict.fromkeys(changes, commit.sequence)
            self.sequence = commit.sequence
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
        return commit.sequence

    def last_write(self, tables: Iterable[str]) -> int:
        """
        The last commit that wrote, or may have written, one of these tables.
        """
        with self._mutex:
            return self._latest(self._last, tables)

    def last_change(self, table: str) -> int:
        """
        The last commit that did, or may have done, more than to add rows to a table.
        """
        with self._mutex:
            return self._latest(self._last_change, [table])

    def _latest(self, last: dict[str, int], tables: Iterable[str]) -> int:
        return max((self._last_unknown, *(last.get(table, 0) for table in tables)))

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """
        Call something after each commit, on the thread of its writer: be quick.

        Returns:
            What takes it off again.
        """
        with self._mutex:
            self._listeners.append(listener)

        def stop() -> None:
            with self._mutex:
                self._listeners.remove(listener)

        return stop

    def since(self, sequence: int) -> list[Commit]:
        """
        The commits after that sequence number, oldest first.

        Where the log no longer reaches back that far, one commit of unknown
        tables stands for all that was forgotten.
        """
        with self._mutex:
            commits = [c for c in self._commits if c.sequence > sequence]
        if commits and commits[0].sequence > sequence + 1:
            commits.insert(0, Commit(commits[0].sequence - 1, None))
        return commits
