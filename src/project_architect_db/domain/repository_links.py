"""
A document names a repository of its own project, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import select

from project_architect_db.domain.models import Document, Repository
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession


class Link(NamedTuple):
    """
    Which project and repository a document is to be of; `None` is not known.
    """

    project_id: int | None
    repository_id: int | None


def link_of(row: Mapping[str, Any]) -> Link:
    """
    What checked data says.
    """
    return Link(row.get("project_id"), row.get("repository_id"))


async def links_after(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
) -> list[tuple[int, Link]]:
    """
    What documents will say once these rows have changed them, or were added.

    Args:
        session: Where they are.
        rows: Checked data, with what is to be written and nothing else.
        match: The fields that say which document is meant.

    Returns:
        The number of the row, and what its document will say; those that will say no
        repository may be left out.
    """
    links: list[tuple[int, Link]] = []
    asked: dict[tuple[Any, ...], list[int]] = {}
    naming = False
    for index, row in enumerate(rows):
        both = "project_id" in row, "repository_id" in row
        if all(both):
            links.append((index, link_of(row)))
        elif any(both) and all(name in row for name in match):
            asked.setdefault(tuple([row[name] for name in match]), []).append(index)
            naming = naming or both[1]
    if asked:
        columns = [getattr(Document, name) for name in match]
        query = select(Document.project_id, Document.repository_id, *columns)
        query = query.where(any_of(columns, asked))
        if not naming:
            query = query.where(Document.repository_id.is_not(None))
        for project_id, repository_id, *key in await session.execute(query):
            before = {"project_id": project_id, "repository_id": repository_id}
            links += [
                (index, link_of(before | {**rows[index]}))
                for index in asked[tuple(key)]
            ]
    return sorted(links, key=lambda link: link[0])


async def require_own_repositories(
    session: AsyncSession, links: Iterable[tuple[int | None, Link]]
) -> None:
    """
    Raise if a document is to name a repository of another project.

    One that does not exist, or not yet, is for the COMMIT to find.

    Args:
        session: Where the repositories are.
        links: What documents are to say, each with its number in errors.

    Raises:
        InvalidDataError: It does.
    """
    given = [(index, link) for index, link in links if None not in link]
    if not given:
        return
    ids = {(link.repository_id,) for _, link in given}
    chosen = any_of([Repository.__table__.c.id], ids)
    query = select(Repository.id, Repository.project_id).where(chosen)
    found = await session.execute(query)
    projects = {row.id: row.project_id for row in found}
    for index, link in given:
        theirs = projects.get(link.repository_id, link.project_id)
        if theirs != link.project_id:
            raise InvalidDataError(
                f"repository {link.repository_id} is of project {theirs}, not of "
                f"{link.project_id}; a document and its repository are of one project",
                model="Document", field="repository_id", value=link.repository_id,
                index=index,
            )  # fmt: skip
