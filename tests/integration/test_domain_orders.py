"""
What repositories are given as an order, as fields to match, or as a choice.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from project_architect_db import (
    ActivityRepository,
    ConversationRepository,
    DocumentRepository,
    InvalidDataError,
    Project,
    ProjectRepository,
    RepositoryRepository,
    UnknownFieldError,
)
from project_architect_db.testing import temporary_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

REPOSITORIES = [
    ActivityRepository,
    ConversationRepository,
    DocumentRepository,
    ProjectRepository,
    RepositoryRepository,
]
RIGHT = {
    "id": 9, "project_id": 1, "name": "a", "title": "a", "project_idea": "a",
    "entity": "a", "action": "a",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with temporary_database() as engine:
        async with engine.transaction() as session:
            for name in "ab":
                await ProjectRepository(session).create(
                    {"name": name, "project_idea": "x"}
                )
        yield engine


@pytest_asyncio.fixture(loop_scope="module", params=REPOSITORIES)
async def records(engine, request):
    async with engine.session() as session:
        yield request.param(session)


def row(records):
    """
    A row of this repository's model.
    """
    return {name: RIGHT[name] for name in RIGHT if hasattr(records.model, name)}


@pytest.mark.parametrize("order", [5, None, True, object(), b"id"])
async def test_what_is_no_order_is_refused(records, order):
    with pytest.raises(InvalidDataError, match="order_by: expected"):
        await records.list(order_by=order)
    with pytest.raises(InvalidDataError, match="order_by: expected"):
        await records.paginate(order_by=order)
    with pytest.raises(InvalidDataError, match="order_by: expected"):
        records.stream(order_by=order)


@pytest.mark.parametrize(
    "match", [5, [None], ["id", 5], object(), b"id", Project.id, [["id"]], [{1}]]
)
async def test_what_are_no_names_of_fields_is_refused(records, match):
    for attempt in (
        records.upsert(row(records), match=match),
        records.bulk_upsert([row(records)], match=match),
        records.bulk_upsert([], match=match),
    ):
        with pytest.raises(InvalidDataError, match="match: expected names of fields"):
            await attempt


async def test_fields_to_match_are_known(records):
    for attempt in (
        records.upsert(row(records), match="idd"),
        records.bulk_upsert([row(records)], match=iter(["idd"])),
    ):
        with pytest.raises(UnknownFieldError, match="did you mean 'id'"):
            await attempt


async def test_one_column_need_not_be_in_a_list(engine):
    async with engine.session() as session:
        projects = ProjectRepository(session)
        for order in (Project.name.desc(), "-name", [Project.name.desc()], ("-name",)):
            found = await projects.list(order_by=order)
            assert ["b", "a"] == [each.name for each in found]
        for match in ((), [], iter(["id"]), None, "id"):
            row = {"id": 1, "name": "a", "project_idea": "y"}
            assert "y" == (await projects.upsert(row, match=match)).project_idea


@pytest.mark.parametrize("included", [[], {}, {1}, None, 1, object()])
async def test_any_value_says_whether_to_include_deleted_records(engine, included):
    async with engine.session() as session:
        projects = ProjectRepository(session)
        found = await projects.get_by_id(1, include_deleted=included)
        assert found is await projects.get_one(1, include_deleted=included)
