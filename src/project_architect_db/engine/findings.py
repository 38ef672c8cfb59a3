"""
What to do about a database, as its analysis tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from project_architect_db.engine.analysis import Analysis, IndexFacts

NOW, SOON, SOME_TIME = "now", "soon", "some time"
_ORDER = (NOW, SOON, SOME_TIME)

MUCH_LOG = 64_000_000
MUCH_FREE = 0.25
WORTH_FREEING = 10_000_000
ENOUGH_ROWS = 10_000
"""Of which a table has to have that many for an index to matter."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Something worth doing.

    Attributes:
        when: ``now``, ``soon`` or ``some time``.
        subject: What it is about: a file, an index, a query.
        detail: What was found.
        advice: What to do.
    """

    when: str
    subject: str
    detail: str
    advice: str


def findings(analysis: Analysis) -> list[Finding]:
    """
    What is worth doing, first what is to be done first.

    Example:
        >>> from project_architect_db.engine import analyze
        >>> async with DatabaseEngine("app.duckdb") as engine:
        ...     await engine.create_all()
        >>> findings(await analyze("app.duckdb"))
        []
    """
    found = [
        *_of_file(analysis),
        *_of_queries(analysis),
        *(each for index in analysis.indexes for each in _of_index(index, analysis)),
    ]  # fmt: skip
    return sorted(found, key=lambda finding: _ORDER.index(finding.when))


def _of_file(analysis: Analysis) -> Iterator[Finding]:
    if analysis.wal_bytes > MUCH_LOG:
        yield Finding(
            NOW, "write-ahead log",
            f"{analysis.wal_bytes:,} bytes had to be replayed to open the database",
            "run `checkpoint`, and close the engine when the application ends",
        )  # fmt: skip
    if analysis.spilled_bytes:
        yield Finding(
            SOON, "memory",
            f"{analysis.spilled_bytes:,} bytes had no room in {analysis.memory_limit}",
            "raise the setting memory_limit, or ask for fewer rows at a time",
        )  # fmt: skip
    free = analysis.free_bytes
    if free > WORTH_FREEING and free > MUCH_FREE * analysis.file_bytes:
        yield Finding(
            SOME_TIME, "file",
            f"{free / analysis.file_bytes:.0%} of it is free room that changed and "
            "deleted rows have left",
            "run `compact` if the file is not going to grow into it",
        )  # fmt: skip


def _of_queries(analysis: Analysis) -> Iterator[Finding]:
    for query in analysis.slow_queries[:3]:
        yield Finding(
            NOW, query.statement,
            f"was slow {query.times:,} times, {query.seconds:,.1f} s together, "
            f"{query.longest:,.1f} s at most",
            "look at its plan with `analyze --query`",
        )  # fmt: skip


def _of_index(index: IndexFacts, analysis: Analysis) -> Iterator[Finding]:
    rows = {table.name: table.rows for table in analysis.tables}
    if index.used is False and not index.unique and rows[index.table] >= ENOUGH_ROWS:
        yield Finding(
            SOON, f"index {index.name}",
            f"DuckDB does not read it to find a typical value of "
            f"{', '.join(index.columns)} in {index.table}",
            "drop it: each write pays for it, and most ALTERs are refused with it",
        )  # fmt: skip
