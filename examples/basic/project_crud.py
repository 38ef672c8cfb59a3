"""
Create, read, change and delete a project, with data that is checked on its way in.
"""

from __future__ import annotations

from typing import Any

from project_architect_db import (
    BaseRepository,
    DatabaseEngine,
    Project,
    RecordError,
    Schema,
    run,
    update_schema,
)


class ProjectCreate(Schema):
    """
    What a new project needs.
    """

    name: str
    project_idea: str
    status: str = "draft"
    architecture: dict[str, Any] = {}


class ProjectRepository(BaseRepository[Project]):
    """
    The projects, and how this program asks for them.
    """

    create_schema = ProjectCreate
    update_schema = update_schema(ProjectCreate)

    async def active(self) -> list[Project]:
        """
        Those that are worked on, the newest first.
        """
        return await self.base_query().filter(status="active").order_by("-id").all()


async def create_project_example(projects: ProjectRepository) -> int:
    """
    Create a project with validation, and return its id.
    """
    atlas = await projects.create(ProjectCreate(name="Atlas", project_idea="A map"))
    print(f"created   {atlas.id}: {atlas.name}, a {atlas.status}")
    for wrong in ({"nmae": "Orbit", "project_idea": "?"}, {"name": 7}):
        try:
            await projects.create(wrong)
        except RecordError as error:
            print(f"refused   {error}")
    return atlas.id


async def main() -> None:
    """
    One transaction to create, one to change and delete.
    """
    async with DatabaseEngine(":memory:") as engine:
        await engine.create_all()
        async with engine.transaction() as session:  # commits, or rolls back on error
            id = await create_project_example(ProjectRepository(session))
        async with engine.transaction() as session:
            projects = ProjectRepository(session)
            await projects.update(id, {"status": "active", "architecture": {"api": 1}})
            for project in await projects.active():
                print(f"active    {project.name}: {project.architecture}")
            print(
                f"deleted   {await projects.delete(id)}: {await projects.count()} left"
            )


run(main())
