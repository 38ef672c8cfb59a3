"""
Python's cyclic garbage collector, out of the way of bulk work.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Collector:
    """
    The cyclic garbage collector, paused while anybody needs it paused.

    Thousands of new objects make it look through all objects of the process
    several times, which doubles the time of a large flush and stops every
    thread for 50 ms and more. What is unreachable is collected afterwards.
    """

    def __init__(self) -> None:
        self._pauses = 0
        self._was_enabled = False
        self._mutex = threading.Lock()

    @contextmanager
    def paused(self) -> Iterator[None]:
        with self._mutex:
            if not self._pauses:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._pauses += 1
        try:
            yield
        finally:
            with self._mutex:
                self._pauses -= 1
                if not self._pauses and self._was_enabled:
                    gc.enable()


collector = _Collector()
