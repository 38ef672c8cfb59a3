"""
Code repositories, each of which stays in its project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.models import Repository
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class StayingRepositories(RecordingRepository[Repository]):
    """
    A repository of code repositories that refuses to move one to another project.

    Its documents are of its project, and so is what activity tells of all of them.
    """

    async def _change(
        self, record: Repository, changes: Mapping[str, Any], expected: Any = None
    ) -> Repository:
        _require_to_stay(record.id, record.project_id, changes.get("project_id"))
        return await super()._change(record, changes, expected)

    async def _require_links(
        self, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
    ) -> None:
        asked = {
            tuple([row[name] for name in match]): (index, row["project_id"])
            for index, row in enumerate(rows)
            if row.keys() >= {"project_id", *match}
        }
        columns = [getattr(Repository, name) for name in match]
        found = select(Repository.id, Repository.project_id, *columns)
        there = await self.session.execute(found.where(any_of(columns, asked)))
        for id_, project_id, *key in there:
            index, wanted = asked[tuple(key)]
            _require_to_stay(id_, project_id, wanted, index=index)


def _require_to_stay(
    id: int, project_id: int, wanted: int | None, *, index: int | None = None
) -> None:
    if wanted not in (None, project_id):
        raise InvalidDataError(
            f"repository {id} is of project {project_id}, and stays there with its "
            "documents and activity; create one in the other project",
            model="Repository", field="project_id", value=wanted, index=index,
        )  # fmt: skip
