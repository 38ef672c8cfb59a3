"""
What mypy has to know about queries; checked by `mypy`, never run.
"""

from __future__ import annotations

from typing import Any, assert_type

import pyarrow as pa
from sqlalchemy import ColumnElement, Row, Select, func
from sqlalchemy.ext.asyncio import AsyncSession

from project_architect_db import Project
from project_architect_db.orm.filters import Group, all_of, any_of, conditions
from project_architect_db.orm.query import QueryBuilder
from project_architect_db.orm.query_pages import Page
from project_architect_db.orm.query_rows import AggregateQuery


async def objects(session: AsyncSession) -> None:
    """
    Each step keeps the model, and so does each result.
    """
    query = QueryBuilder(Project, session)
    assert_type(query, QueryBuilder[Project])
    built = (
        query.filter(Project.id > 1, any_of(status="draft") | all_of(name="x"))
        .exclude(status="x")
        .search("x")
        .filter_by_date_range("created_at", None, None)
        .filter_json("architecture", "$.framework", "FastAPI")
        .join("documents", outer=True)
        .load("conversations")
        .order_by("-name", Project.id.desc())
        .distinct()
        .include_deleted()
        .limit(5)
        .offset(1)
    )
    assert_type(built, QueryBuilder[Project])
    assert_type(built.statement, Select[Project])
    assert_type(await built.all(), list[Project])
    assert_type(await built.first(), Project | None)
    assert_type(await built.one(), Project)
    assert_type(await built.one_or_none(), Project | None)
    assert_type(await built.count(), int)
    assert_type(await built.exists(), bool)
    assert_type(await built.explain(analyze=True), str)
    assert_type(built.to_sql(), str)
    async for project in built.stream():
        assert_type(project, Project)
    page = await query.paginate(5, cursor=None)
    assert_type(page, Page[Project])
    assert_type(page.items, list[Project])
    assert_type(page.next_cursor, str | None)


async def rows(session: AsyncSession) -> None:
    """
    Aggregates give rows.
    """
    query = QueryBuilder(Project, session).group_by("status")
    assert_type(query, AggregateQuery)
    query = query.aggregate([func.max(Project.id)], total=func.count())
    query = query.having(func.count() > 1).order_by("-total").limit(5)
    for row in await query.all():
        assert_type(row, Row[*tuple[Any, ...]])
    assert_type(await query.first(), Row[*tuple[Any, ...]] | None)
    assert_type(await query.one(), Row[*tuple[Any, ...]])
    assert_type(await query.one_or_none(), Row[*tuple[Any, ...]] | None)
    assert_type(await query.count(), int)
    assert_type(await query.exists(), bool)
    async for row in query.distinct().stream():
        assert_type(row, Row[*tuple[Any, ...]])


async def exports(session: AsyncSession) -> None:
    """
    Files have a number of rows.
    """
    query = QueryBuilder(Project, session)
    assert_type(await query.to_parquet("x.parquet"), int)
    assert_type(await query.to_csv("x.csv"), int)
    table: pa.Table = await query.to_arrow()
    assert table


def filters() -> None:
    """
    Lookups give conditions, and groups are composed.
    """
    assert_type(conditions(Project, {"name": "x"}), list[ColumnElement[bool]])
    assert_type(~any_of(name="x") & (Project.id > 1), Group)
