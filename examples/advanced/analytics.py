"""
Questions over everything: of a git working tree, and of a made-up company.

Run it with the path of a working tree, if you like; it leaves no files behind.
"""

from __future__ import annotations

import sys
from contextlib import aclosing
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func

from project_architect_db import (
    AnalyticsRepository,
    DatabaseEngine,
    Document,
    ProjectRepository,
    run,
)
from project_architect_db.domain.importer import import_working_tree
from project_architect_db.testing import seed, temporary_database

TREE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent


async def working_tree_example(engine: DatabaseEngine, tree: Path) -> None:
    """
    What git knows: who wrote what, and when.
    """
    print((await import_working_tree(engine, tree)).commits, "commits")
    analytics = AnalyticsRepository(engine)
    for person in await analytics.contributions(limit=3):
        print(f"{person.commits:6,} commits, {person.share:6.1%}  {person.author}")
    for repository in await analytics.bus_factor():
        print(f"{repository.factor} of {repository.people} people made most of them")


async def project_analytics_example(engine: DatabaseEngine, folder: Path) -> None:
    """
    Three years of projects, conversations, documents and builds.
    """
    await seed(engine, rows=20_000)
    analytics = AnalyticsRepository(engine)
    for phase in await analytics.phase_funnel():
        print(f"{phase.phase:<16}{phase.conversations:5} {phase.share:6.1%}")
    builds = await analytics.build_success(since=date(2026, 5, 4), granularity="week")
    print("builds that pass:", [f"{row.moving_rate:.0%}" for row in builds])
    sizes = await analytics.time_series(
        Document.created_at, func.sum(Document.size), by=Document.language, top=3,
        granularity="quarter", fill=0, since=date(2025, 7, 1),
    )  # fmt: skip
    print("bytes written:", {row.series: row.value for row in sizes[-4:]})
    chart = (await analytics.status_over_time(granularity="week")).plot()
    print("a picture:", (await chart.save(folder / "status.svg")).name)

    async with aclosing(analytics.watch(analytics.dashboard(), every=0.1)) as boards:
        before = await anext(boards)
        async with engine.transaction() as session:
            projects = ProjectRepository(session)
            await projects.create({"name": "new", "project_idea": "News."})
        after = await anext(boards)
    print("projects:", before.totals["projects"], "and then", after.totals["projects"])


async def main() -> None:
    """Each in a database of its own."""
    async with temporary_database() as engine:
        await working_tree_example(engine, TREE)
    with TemporaryDirectory() as folder:
        async with temporary_database() as engine:
            await project_analytics_example(engine, Path(folder))


run(main())
