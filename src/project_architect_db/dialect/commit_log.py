"""
Which tables each commit wrote, in commit order.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

REMEMBERED = 10_000


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
        self.sequence = 0

    def append(self, tables: frozenset[str] | None) -> int:
        """
        Record a commit and return its sequence number.
        """
        with self._mutex:
            commit = Commit(self.sequence + 1, tables)
            self._commits.append(commit)
            self.sequence = commit.sequence
            return commit.sequence

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
