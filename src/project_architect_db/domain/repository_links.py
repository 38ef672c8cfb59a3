"""
A document names a repository of its own project, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from project_architect_db.domain.models import Document, Repository
from project_architect_db.domain.schema_fields import Id
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.orm.incoming import Data

_ID: TypeAdapter[int] = TypeAdapter(Id)


class Link(NamedTuple):
    """
    Which project and repository a document is to be of; `None` is not known.
    """

    project_id: int | None
    repository_id: int | None


def id_in(row: Any, name: str) -> int | None:
    """
    An id in data that was not checked yet; `None` if it is none.
    """
    value = row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)
    with suppress(ValidationError):
        return _ID.validate_python(value)
    return None


def link_in(row: Data) -> Link:
    """
    What data says that was not checked yet.
    """
    return Link(id_in(row, "project_id"), id_in(row, "repository_id"))


async def links_after(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
) -> list[Link]:
    """
    What documents will say once these rows have changed them, or were added.

    Args:
        session: Where they are.
        rows: Checked data, with what is to be written and nothing else.
        match: The fields that say which document is meant.
    """
    asked = {
        tuple([row[name] for name in match])
        for row in rows
        if {"project_id", "repository_id"} & row.keys() and row.keys() >= {*match}
        and not row.keys() >= {"project_id", "repository_id"}
    }  # fmt: skip
    found: dict[tuple[Any, ...], Link] = {}
    if asked:
        columns = [getattr(Document, name) for name in match]
        query = select(Document.project_id, Document.repository_id, *columns)
        for project_id, repository_id, *key in await session.execute(
            query.where(any_of(columns, asked))
        ):
            found[tuple(key)] = Link(project_id, repository_id)
    unknown = Link(None, None)
    links = []
    for row in rows:
        before = found.get(tuple([row.get(name) for name in match]), unknown)
        links.append(
            Link(
                row.get("project_id", before.project_id),
                row.get("repository_id", before.repository_id),
            )
        )
    return links


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
