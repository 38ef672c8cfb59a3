"""
Answers, kept for as long as they are true.

The commit log says which tables each commit wrote. So whether an answer still holds is
a comparison of two numbers, and no time to live has to be guessed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from project_architect_db.dialect.commit_log import EVERYTHING

if TYPE_CHECKING:
    from project_architect_db.analytics.growing import Growth
    from project_architect_db.dialect.commit_log import CommitLog

MOST_ANSWERS = 500
MOST_ROWS = 500_000
"""Of all answers together: some hundred bytes each."""


@dataclass(slots=True)
class _Answer:
    """
    An answer, the last commit that it is known to have seen, and what it grew from.
    """

    value: Any
    tables: frozenset[str]
    commit: int
    growth: Growth | None = None
    computed_at: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        """
        How many rows are kept with it.
        """
        rows = len(self.value) if hasattr(self.value, "__len__") else 1
        return rows + len(self.growth or ())


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """
    What became of questions.

    Attributes:
        hits: Were answered with what was known.
        joined: Waited for the same question of another asker.
        misses: Were asked of the database.
        evicted: Answers that were forgotten to make room.
        answers: How many are kept now.
        rows: How many these have together.
    """

    hits: int
    joined: int
    misses: int
    evicted: int
    answers: int
    rows: int


@dataclass(slots=True)
class AnswerCache:
    """
    Answers by question; the ones that were not asked for the longest go first.

    Attributes:
        most_answers: How many are kept.
        most_rows: How many rows these may have together.
    """

    most_answers: int = MOST_ANSWERS
    most_rows: int = MOST_ROWS
    _answers: OrderedDict[Hashable, _Answer] = field(default_factory=OrderedDict)
    _mutex: threading.RLock = field(default_factory=threading.RLock)
    _rows: int = 0
    hits: int = 0
    joined: int = 0
    misses: int = 0
    evicted: int = 0

    def known(
        self, key: Hashable, log: CommitLog, max_age: float = 0.0,
        seen: int | None = None,
    ) -> tuple[Any] | None:  # fmt: skip
        """
        The answer, alone in a tuple, if there is one that holds.

        Args:
            key: Of the question.
            log: The commits of the database.
            max_age: Seconds; an answer of that age will do, whatever was written since.
            seen: The last commit of a snapshot that the answer has to be of.
        """
        with self._mutex:
            answer = self._answers.get(key)
            if answer is None:
                return None
            now = log.sequence  # before it is asked what was written
            if answer.commit != now:
                if log.last_write(answer.tables) <= answer.commit:
                    answer.commit = now
                elif time.monotonic() - answer.computed_at > max_age:
                    return None
            if seen is not None and log.last_write(answer.tables) > seen:
                return None
            self._answers.move_to_end(key)
            return (answer.value,)

    def grown_from(self, key: Hashable, log: CommitLog, table: str) -> Growth | None:
        """
        What an answer was made of, if all that happened since is that a table grew.
        """
        answer = self._answers.get(key)
        if answer is None or log.last_change(table) > answer.commit:
            return None
        others = answer.tables - {table}
        return answer.growth if log.last_write(others) <= answer.commit else None

    def keep(
        self, key: Hashable, value: Any, tables: frozenset[str], commit: int,
        growth: Growth | None = None,
    ) -> None:  # fmt: skip
        """
        Remember an answer, unless it depends on more than what is committed.

        Args:
            key: Of the question.
            value: The answer.
            tables: What it was made from.
            commit: What it has certainly seen.
            growth: What a later one can be made of.
        """
        answer = _Answer(value, tables, commit, growth)
        with self._mutex:
            before = self._answers.get(key)
            if (
                EVERYTHING in tables
                or answer.size > self.most_rows
                or (before and (before.commit > commit or before.value is value))
            ):
                return
            self._forget(key)
            self._answers[key] = answer
            self._rows += answer.size
            while self._rows > self.most_rows or len(self._answers) > self.most_answers:
                self._forget(next(iter(self._answers)))
                self.evicted += 1

    def _forget(self, key: Hashable) -> None:
        if (gone := self._answers.pop(key, None)) is not None:
            self._rows -= gone.size

    def clear(self) -> None:
        """
        Forget all answers.
        """
        with self._mutex:
            self._answers.clear()
            self._rows = 0

    @property
    def statistics(self) -> CacheStatistics:
        """
        What became of questions so far.
        """
        return CacheStatistics(
            hits=self.hits, joined=self.joined, misses=self.misses,
            evicted=self.evicted, answers=len(self._answers), rows=self._rows,
        )  # fmt: skip
