"""
Create, read, change and delete a project, and see what is remembered of it.
"""

from __future__ import annotations

from project_architect_db import (
    ActivityRepository,
    DatabaseEngine,
    ProjectCreate,
    ProjectRead,
    ProjectRepository,
    RecordError,
    run,
)
from project_architect_db.testing import temporary_database


async def create_project_example(engine: DatabaseEngine) -> int:
    """
    Create a project with validation, and return its id.
    """
    async with engine.transaction() as session:  # commits, or rolls back on error
        projects = ProjectRepository(session, actor="ada")
        atlas = await projects.create(ProjectCreate(name="Atlas", project_idea="A map"))
        print(f"created   {atlas.name}, a {atlas.status}")
        for wrong in ({"nmae": "Orbit"}, {"name": ""}, {"status": "actve"}):
            try:
                await projects.create({"name": "O", "project_idea": "?", **wrong})
            except RecordError as error:
                print(f"refused   {error}")
    return atlas.id


async def read_project_example(engine: DatabaseEngine, id: int) -> None:
    """
    Find it by its name, though misspelt; read it by its id, as JSON.
    """
    async with engine.session() as session:  # never waits for a writer
        projects = ProjectRepository(session)
        for match in await projects.search_by_name("atlsa"):
            print(f"found     {match.project.name}, alike by {match.score:.2f}")
        told = ProjectRead.model_validate(await projects.get_one(id))
        print(f"as JSON   {told.model_dump_json(exclude_none=True)}")


async def update_project_example(engine: DatabaseEngine, id: int) -> None:
    """
    Change some of its fields; the others stay as they are.
    """
    async with engine.transaction() as session:
        projects = ProjectRepository(session, actor="grace")
        await projects.update(id, {"architecture": {"api": "REST"}})
        atlas = await projects.set_status(id, "active")
    print(f"updated   {atlas.status}, {atlas.architecture}")


async def delete_project_example(engine: DatabaseEngine, id: int) -> None:
    """
    Delete it with all that belongs to it.
    """
    async with engine.transaction() as session:
        for event in await ActivityRepository(session).list(project_id=id):
            print(f"happened  {event.action} {event.payload}, by {event.actor}")
        print(f"deleted   {await ProjectRepository(session).delete(id)}")


async def main() -> None:
    """
    One step after the other, each in a session of its own.
    """
    async with temporary_database() as engine:
        id = await create_project_example(engine)
        await read_project_example(engine, id)
        await update_project_example(engine, id)
        await delete_project_example(engine, id)


run(main())
