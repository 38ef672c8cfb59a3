"""
One import of a tree into a database at a time, whichever task or thread it runs in.
"""

from __future__ import annotations

import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from project_architect_db.dialect.handover import Handover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from project_architect_db.engine import DatabaseEngine

_turns: WeakValueDictionary[tuple[int | str, str], Handover[str]]
_turns = WeakValueDictionary()
_mutex = threading.Lock()
_TURN = "turn"


@asynccontextmanager
async def turn(engine: DatabaseEngine, location: str) -> AsyncIterator[bool]:
    """
    Let other imports of the same tree end first.

    Args:
        engine: Where to write.
        location: The root of the tree.

    Yields:
        Whether there was one to wait for; what was read before it may be old.
    """
    turns = _turns_of(engine, location)
    waited = turns.take_nowait() is None
    if waited:
        await turns.take(None)
    try:
        yield waited
    finally:
        turns.put(_TURN)


def _turns_of(engine: DatabaseEngine, location: str) -> Handover[str]:
    database = id(engine) if engine.path is None else os.path.realpath(engine.path)
    with _mutex:
        return _turns.setdefault((database, location), Handover(_TURN))
