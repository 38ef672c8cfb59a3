"""
Slow queries from a log that the monitor has written to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from project_architect_db.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SLOW = re.compile(r"slow query, ([\d.]+) s: ?(.*)")
_ANOTHER = re.compile(r"\d{4}-\d\d-\d\d|\[|\{|(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
"""How the line begins that is no part of the statement any more."""

LONGEST = 2_000
"""Characters of a statement that are looked at."""


@dataclass(slots=True)
class SlowQuery:
    """
    A statement that has been slow.

    Attributes:
        statement: On one line, with its placeholders.
        times: How often it was slow.
        seconds: All of these times together.
        longest: The seconds of the longest.
    """

    statement: str
    times: int = 0
    seconds: float = 0.0
    longest: float = 0.0


def read_slow_queries(path: Path) -> list[SlowQuery]:
    r"""
    The slow queries of a log file, those first that took most time together.

    Raises:
        ConfigurationError: It cannot be read.

    Example:
        >>> from pathlib import Path
        >>> log = Path("app.log")
        >>> lines = "slow query, 1.25 s: SELECT 1\nslow query, 2.5 s: SELECT 1"
        >>> _ = log.write_text(lines)
        >>> read_slow_queries(log)
        [SlowQuery(statement='SELECT 1', times=2, seconds=3.75, longest=2.5)]
    """
    found: dict[str, SlowQuery] = {}
    try:
        for seconds, statement in _entries(path):
            query = found.setdefault(statement, SlowQuery(statement))
            query.times += 1
            query.seconds = round(query.seconds + seconds, 3)
            query.longest = max(query.longest, seconds)
    except OSError as error:
        raise ConfigurationError(f"cannot read the log {path}: {error}") from error
    return sorted(found.values(), key=lambda query: -query.seconds)


def _entries(path: Path) -> Iterator[tuple[float, str]]:
    seconds, text = 0.0, ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            entry = _SLOW.search(line)
            if (entry or _ANOTHER.match(line)) and text.strip():
                yield seconds, " ".join(text.split())
            if entry:
                seconds, text = float(entry[1]), f"{entry[2]}\n"
            elif _ANOTHER.match(line):
                text = ""
            elif text and len(text) < LONGEST:
                text += line
    if text.strip():
        yield seconds, " ".join(text.split())
