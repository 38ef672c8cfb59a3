"""
Realistic rows in any number, for tests, demonstrations and benchmarks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db.dialect.ddl_compiler import next_keys
from project_architect_db.domain.models import Activity
from project_architect_db.engine import DatabaseEngine
from project_architect_db.errors import ConfigurationError
from project_architect_db.testing.seed_drafts import DRAFTS
from project_architect_db.testing.seed_macros import macros
from project_architect_db.testing.seed_rows import MARK, MARKS, ROWS

Progress = Callable[[int, int], object]
"""Called with the number of rows so far, and about how many there will be."""

ROWS_OF_A_PROJECT = 220
"""On average, with all that is in it."""

PROJECTS_AT_A_TIME = 2_000
"""In one transaction: about 440,000 rows, or there is more planning than writing."""

LEAST, MOST = 10, 100_000_000

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
"""When the seeded history ends, unless told otherwise: the same rows in each run."""

YEARS = timedelta(days=3 * 365)
"""How long it is."""


@dataclass(slots=True, kw_only=True)
class Seeded:
    """
    What `seed` has written.

    Attributes:
        rows: By table, in this run.
        batches: Transactions of this run.
        batches_before: Those that earlier runs had written.
        seconds: How long it took.
    """

    rows: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    batches_before: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """
        The rows of all tables.
        """
        return sum(self.rows.values())


async def seed(
    engine: DatabaseEngine, *, rows: int = 10_000, seed: int = 0,
    until: datetime = UNTIL, progress: Progress | None = None,
) -> Seeded:  # fmt: skip
    """
    Fill the tables with projects and all that is in them, the same ones in each run.

    Projects begin over three years, most of them have gone from draft to active, and
    many to their end; conversations go through the phases; commits, builds and reads
    come when people work. `Activity`, the largest part, tells of all that, and agrees
    with it: a project's status is that of its last event.

    A transaction writes some 440,000 rows. A run that was broken off leaves
    whole ones; the same call goes on where it ended, and one that had come to its end
    writes nothing. The search index is made by the first search.

    Args:
        engine: Where to write; its tables have to exist.
        rows: About how many, over all tables.
        seed: Another one makes other rows, beside those that are there.
        until: When the history ends; rounded down to its Monday, in UTC.
        progress: Called after each batch with the rows so far and of all.

    Raises:
        ConfigurationError: `rows` is less than 10 or more than 100 million, or `seed`
            is negative or has more than 63 bits.

    Example:
        >>> from project_architect_db.testing import seed
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     seeded = await seed(engine, rows=1_000)
        ...     async with engine.session() as session:
        ...         found = await session.scalar(select(func.count(Document.id)))
        >>> found == seeded.rows["documents"]
        True
    """
    plan = _Plan(rows, seed, until)
    started, seeded = time.perf_counter(), Seeded()
    async with engine.session() as session:
        done = await session.scalar(text(MARKS), plan.facts)
    seeded.batches_before = int(done or 0)
    for batch in range(seeded.batches_before, plan.batches):
        async with engine.transaction() as session:
            for name, count in (await _write(session, plan, batch)).items():
                seeded.rows[name] = seeded.rows.get(name, 0) + count
        seeded.batches += 1
        if progress is not None:
            progress(rows * (batch + 1) // plan.batches, rows)
    seeded.seconds = time.perf_counter() - started
    return seeded


class _Plan:
    """
    What is to be written, and in which batches: the same for the same arguments.
    """

    def __init__(self, rows: int, seed: int, until: datetime) -> None:
        if not LEAST <= rows <= MOST:
            raise ConfigurationError(
                f"rows={rows:,}: it has to be from {LEAST} to {MOST:,}"
            )
        if not 0 <= seed < 2**63:
            raise ConfigurationError(f"seed={seed}: it has to be from 0 to 2**63 - 1")
        monday = until.astimezone(UTC).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        end = monday - timedelta(days=monday.weekday())
        self.seed = seed
        self.projects = max(1, round(rows / ROWS_OF_A_PROJECT))
        self.batches = -(-self.projects // PROJECTS_AT_A_TIME)
        self.facts = {"seed": seed, "rows": rows, "until": end.timestamp()}
        self.size = rows / ROWS_OF_A_PROJECT / self.projects
        self.since = (end - YEARS).timestamp()

    def parameters(self, batch: int) -> dict[str, Any]:
        """
        What the statements of a batch want to know.
        """
        first = batch * PROJECTS_AT_A_TIME
        return {
            **self.facts, "since": self.since, "size": self.size, "batch": batch + 1,
            "batches": self.batches, "projects": self.projects, "first": first,
            "last": min(first + PROJECTS_AT_A_TIME, self.projects),
        }  # fmt: skip


async def _write(session: AsyncSession, plan: _Plan, batch: int) -> dict[str, int]:
    """
    Write a batch, and return the rows of each table.
    """
    given = plan.parameters(batch)
    for macro in macros(plan.seed):
        await _execute(session, macro)
    for name, draft in DRAFTS.items():
        sql = f"CREATE OR REPLACE TEMP TABLE {name} AS {draft}"
        await _execute(session, sql, given)
    written = {}
    for table, sql in ROWS.items():
        name = "seed_events" if table == "activity" else f"seed_{table}"
        count = await session.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608 - one of ours
        written[table] = int(count or 0)
        given[f"{table}_id"] = await _reserve(session, table, written[table])
        await _execute(session, sql, given, writes=table)
    given["id"] = await _reserve(session, "activity", 1)
    await _execute(session, MARK, given, writes="activity")
    written["activity"] += 1
    for name in DRAFTS:
        await _execute(session, f"DROP TABLE temp.{name}")
    return written


async def _execute(
    session: AsyncSession, sql: str, given: dict[str, Any] | None = None, *,
    writes: str | None = None,
) -> None:  # fmt: skip
    """
    Run a statement that writes this table, or a temporary one.
    """
    statement = text(sql)
    names = statement._bindparams  # noqa: SLF001 - extra values are refused
    options = {
        "writes": () if writes is None else (writes,),
        "timeout": None,  # it may take longer than statements of the application may
        "operation": "seed",
    }
    values = {name: value for name, value in (given or {}).items() if name in names}
    await session.execute(statement, values, execution_options=options)


async def _reserve(session: AsyncSession, table: str, count: int) -> int:
    """
    The first of that many ids in a row, which nobody else gets.
    """
    keys = next_keys(Activity.metadata.tables[table], count).subquery().c[0]
    ends = await session.execute(select(func.min(keys), func.max(keys)))
    first, last = ends.one()
    # Somebody else who has counted meanwhile has left a gap: take those behind it.
    return first if last - first == count - 1 else await _reserve(session, table, count)
