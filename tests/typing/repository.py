"""
What mypy has to know about repositories; checked by `mypy`, never run.
"""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db import Project
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_pages import Page
from project_architect_db.orm.repository import BaseRepository


class ProjectsRepository(BaseRepository[Project]):
    """
    A repository as users write them.
    """

    async def active(self) -> list[Project]:
        """
        A query of its own.
        """
        return await self.base_query().filter(status="active").all()


async def one(session: AsyncSession, data: BaseModel) -> None:
    """
    Each result is of the model.
    """
    projects = ProjectsRepository(session)
    assert_type(projects.session, AsyncSession)
    assert_type(projects.base_query(), QueryBuilder[Project])
    assert_type(await projects.active(), list[Project])
    assert_type(await projects.create({"name": "a"}), Project)
    assert_type(await projects.create(data), Project)
    assert_type(await projects.get_by_id(1), Project | None)
    assert_type(await projects.get_one(1), Project)
    assert_type(await projects.get_one_or_none(name="a"), Project | None)
    assert_type(await projects.update(1, data), Project)
    assert_type(await projects.update(1, {}, expected_version=2), Project)
    assert_type(await projects.upsert(data, match=["name"]), Project)
    assert_type(await projects.delete(1), bool)
    assert_type(await projects.restore(1), Project)
    assert_type(await projects.purge(1), bool)


async def many(session: AsyncSession, rows: list[BaseModel]) -> None:
    """
    So is each of many.
    """
    projects = BaseRepository[Project](session)
    assert_type(
        await projects.list(10, 5, include_deleted=True, name="a"), list[Project]
    )
    assert_type(await projects.get_many([1, 2]), list[Project])
    assert_type(await projects.count(name="a"), int)
    assert_type(await projects.exists(name="a"), bool)
    assert_type(await projects.paginate(5, order_by=["-name"]), Page[Project])
    async for project in projects.stream(name="a"):
        assert_type(project, Project)
    assert_type(await projects.delete_where(name="a"), int)
    assert_type(await projects.bulk_create(rows), list[Project])
    assert_type(
        await projects.bulk_create([{"name": "a"}], progress=print), list[Project]
    )
    assert_type(await projects.bulk_insert(iter(rows)), int)
    assert_type(await projects.bulk_update([{"id": 1}]), int)
    assert_type(await projects.bulk_upsert(rows, match=["name"]), int)
    assert_type(await projects.bulk_delete([1, 2]), int)
