"""
A result that is read while it is computed.

A DuckDB connection has one such result at a time, and the next statement drops it.
So what is left of it is set aside first: in memory, and in a temporary file where
that is not enough.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

BYTES_IN_MEMORY = 8 * 2**20
VALUES_AT_A_TIME = 8_000
"""Values (rows × columns) converted at a time: 2–5 ms with the GIL held, after
which other threads, the event loop above all, get their turn."""


TURN_SECONDS = 0.00005
"""DuckDB gives the GIL up and takes it back faster than another thread wakes up for
it: without a sleep in between, the event loop starves for 100 ms and more."""


def rows_in_turns(duck: duckdb.DuckDBPyConnection) -> Iterator[list[tuple[Any, ...]]]:
    """
    The rows of the result, some at a time, while others get their turn in between.
    """
    size = max(1, VALUES_AT_A_TIME // max(1, len(duck.description)))
    while rows := duck.fetchmany(size):
        yield rows
        if len(rows) < size:
            return
        time.sleep(TURN_SECONDS)


class Stream:
    """
    The rows of one statement that have not been asked for yet.

    Attributes:
        statement: Its SQL text.
        ended: Nobody will ask for them any more. Set on the event loop; everything
            else happens on the worker thread.
    """

    def __init__(self) -> None:
        self.statement = ""
        self.ended = False
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._next: list[tuple[Any, ...]] = []

    def set_aside(self, duck: duckdb.DuckDBPyConnection) -> None:
        """
        Fetch what is left, because another statement comes.
        """
        # Not a `with`: it is open for as long as it is read.
        self._file = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115
        for rows in rows_in_turns(duck):
            pickle.dump(rows, self._file, pickle.HIGHEST_PROTOCOL)
        self._file.seek(0)

    def fetch(self, size: int) -> list[tuple[Any, ...]]:
        """
        The next rows that were set aside, at most `size`.
        """
        while self._file is not None and len(self._next) < size:
            try:
                self._next += pickle.load(self._file)  # noqa: S301 - we wrote it
            except EOFError:
                self.close()
        rows, self._next = self._next[:size], self._next[size:]
        return rows

    def close(self) -> None:
        """
        Delete what was set aside.
        """
        if self._file is not None:
            self._file.close()
            self._file = None
