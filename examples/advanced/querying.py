"""
Filter, page, aggregate and export: one model, many questions.

Run it anywhere: it leaves no files behind.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import func

from project_architect_db import (
    ArchitectSession,
    Document,
    Project,
    QueryBuilder,
    any_of,
    run,
)
from project_architect_db.testing import RowFactory, temporary_database

FRAMEWORKS = ["FastAPI", "Django", "Flask"]


async def fill(session: ArchitectSession) -> None:
    """
    Some hundred projects with documents, the same ones in each run.
    """
    projects = RowFactory(
        Project,
        status=lambda n: "active" if n % 3 else "done",
        architecture=lambda n: {"framework": FRAMEWORKS[n % 3], "score": n * n % 11},
    )
    documents = RowFactory(Document, size=lambda n: n * 100)
    for project in (await projects.create(session, 300))[::10]:
        await documents.create(session, 5, project_id=project.id)


async def ask(session: ArchitectSession, folder: Path) -> None:
    """
    Questions, from the easy to the long ones.
    """
    projects = QueryBuilder(Project, session)
    hard = projects.filter(status="active", architecture__score__gte=8)
    print(f"{await hard.count()} active projects are hard, the first of them:")
    for project in await hard.order_by("-architecture__score", "name").limit(3).all():
        print(f"  {project.name:<20}{project.architecture}")

    page = await projects.order_by("name").paginate(50)
    following = await projects.order_by("name").paginate(50, cursor=page.next_cursor)
    print(f"page 2 begins with {following.items[0].name!r}")

    either = any_of(name__icontains="river", documents__size__gt=10_000)
    print(f"{await projects.filter(either).count()} are about rivers, or long")

    by_framework = projects.group_by("architecture__framework").aggregate(
        n=func.count(), score=func.avg(func.json_extract("architecture", "$.score"))
    )
    for framework, n, score in await by_framework.order_by("-score").all():
        print(f"  {framework:<20}{n:4}{score:8.2f}")

    print(f"{await by_framework.to_csv(folder / 'frameworks.csv')} rows exported")


async def main() -> None:
    """
    Fill a database, and ask it.
    """
    with TemporaryDirectory() as folder:
        async with temporary_database() as engine:
            async with engine.transaction() as session:
                await fill(session)
            async with engine.session() as session:
                await ask(session, Path(folder))


run(main())
