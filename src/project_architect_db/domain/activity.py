"""
What happened, as data: written in the same transaction as what it tells of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sqlalchemy import select

from project_architect_db.domain.checked_rows import CheckedFields, NotedFields
from project_architect_db.domain.events import (
    EventWriting,
    project_of,
    require_json,
    subject_of,
)
from project_architect_db.domain.models import Activity, Project
from project_architect_db.domain.repository_links import link_of
from project_architect_db.orm import bulk
from project_architect_db.orm.bulk_checks import any_of
from project_architect_db.orm.bulk_steps import writing
from project_architect_db.orm.refusals import each_of, match_of
from project_architect_db.orm.repository import BaseRepository
from project_architect_db.orm.repository_base import named_operation as _named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from project_architect_db.domain.repository_links import Link
    from project_architect_db.orm.bulk import Progress
    from project_architect_db.orm.incoming import Data
    from project_architect_db.orm.query import QueryBuilder
    from project_architect_db.orm.query_pages import Page

ModelT = TypeVar("ModelT")


class ActivityRepository(BaseRepository[Activity]):
    """
    What happened to projects and all that is in them.

    The repositories of this package write it; `record` is for events of your own.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         projects = ProjectRepository(session, actor="ada")
        ...         made = await projects.create({"name": "a", "project_idea": "b"})
        ...         made = await projects.update(made.id, {"status": "active"})
        ...     async with engine.session() as session:
        ...         page = await ActivityRepository(session).of_project(made.id)
        ...         for event in page.items:
        ...             print(event.actor, event.action, event.payload)
        ada status_changed {'from': 'draft', 'to': 'active'}
        ada created {'status': 'draft'}
    """

    async def record(self, record: Any, action: str, **columns: Any) -> Activity:
        """
        Add an event of your own.

        Args:
            record: What it happened to: one of the models of this package.
            action: What happened.
            columns: As in `Activity`: `actor`, `payload`, `occurred_at`.

        Raises:
            InvalidDataError: It is none of them, or has no id yet; or a value is none.
            UnknownFieldError: `Activity` has no such column.
        """
        require_json(columns)
        return await self.create({**subject_of(record), "action": action, **columns})

    async def of_project(
        self, project_id: int, limit: int = 100, *, cursor: str | None = None,
        **filters: Any,
    ) -> Page[Activity]:  # fmt: skip
        """
        What happened in a project, the latest first.
        """
        return await self.paginate(
            limit, cursor=cursor, order_by=("-id",), project_id=project_id, **filters
        )

    async def of(self, record: Any, limit: int = 100) -> list[Activity]:
        """
        What happened to one record, the latest first.

        Raises:
            InvalidDataError: It is no record, or has no id yet.
        """
        subject = subject_of(record)
        del subject["project_id"]
        query = self.base_query().filter(**subject)
        return await query.order_by("-id").limit(limit).all()


class RecordingRepository(EventWriting[ModelT]):
    """
    A repository that writes what it did to the activity.

    One record changed is one event; a bulk call is one event with a count. Only what
    `update`, `bulk_update` and `bulk_upsert` change in a `watched` field is always an
    event of its own, as analytics reads how long a record had which value.

    Args:
        session: Any `AsyncSession`.
        actor: Who acts, as activity is to tell.

    Attributes:
        watched: Fields, and what a change of them is called.
        vocabularies: The words that fields may hold, for methods that filter by them.

    Raises:
        InvalidDataError: The actor is no text, or longer than 255 characters.
    """

    watched: ClassVar[Mapping[str, str]] = {}

    # --- one record ---------------------------------------------------------------

    async def _create(self, values: dict[str, Any]) -> ModelT:
        record: Any = await super()._create(values)
        values = {name: getattr(record, name) for name in self.watched}
        watched = {name: value for name, value in values.items() if value is not None}
        self.add_event(record, "created", watched, occurred_at=record.created_at)
        return record  # type: ignore[no-any-return]

    async def _change(
        self, record: ModelT, changes: Mapping[str, Any], expected: Any = None
    ) -> ModelT:
        before = {name: getattr(record, name) for name in changes}
        record = await super()._change(record, changes, expected)
        changed = [name for name in changes if before[name] != changes[name]]
        for name in changed:
            if name in self.watched:
                payload = {"from": before[name], "to": changes[name]}
                self.add_event(record, self.watched[name], payload)
        if others := [name for name in changed if name not in self.watched]:
            self.add_event(record, "updated", {"fields": others})
        return record

    async def _purge(self, id: Any, query: QueryBuilder[ModelT]) -> bool:
        projects = await self._projects_of([id])
        purged = await super()._purge(id, query)
        if purged:
            self._tell("deleted", {}, entity_id=self._key(id), project_id=projects[0])
        return purged

    # --- many records -------------------------------------------------------------

    @_named
    async def bulk_create(
        self, data_list: Iterable[Data], *, progress: Progress | None = None
    ) -> list[ModelT]:
        """
        Add many records, and one event with their number.
        """
        given = each_of(self._fields, data_list)
        rows = await bulk.checked_by(self._fields.for_create, given)
        await self._require_new(rows)
        made = await bulk.create(
            self.session, CheckedFields(self._fields), rows, progress=progress
        )
        self._add_summary("created", len(made), map(project_of, made))
        return made

    @_named
    async def bulk_insert(
        self, rows: Iterable[Data], *, progress: Progress | None = None
    ) -> int:
        """
        Add records as they come, and one event with their number.
        """
        first: dict[Link, int] = {}  # as many as there are projects and repositories

        def note(checked: Sequence[Mapping[str, Any]], start: int) -> None:
            for number, row in enumerate(checked, start):
                first.setdefault(link_of(row), number)

        fields = NotedFields(self._fields, note)
        count = await bulk.insert_many(self.session, fields, rows, progress=progress)
        async with writing(self.session, self._fields):
            await self._require_own([(number, link) for link, number in first.items()])
        self._add_summary("created", count, {link.project_id for link in first})
        return count

    @_named
    async def bulk_update(
        self, updates: Iterable[Data], *, progress: Progress | None = None
    ) -> int:
        """
        Change many records; say what became of watched fields, and count the others.
        """
        given = each_of(self._fields, updates)
        rows = await bulk.checked_by(self._fields.for_update, given)
        await self._require_links(rows, self._fields.key)
        moves = await self._moves(rows)
        count = await bulk.update_many(
            self.session, CheckedFields(self._fields), rows,
            among=self.base_query().statement, progress=progress,
        )  # fmt: skip
        await self._write_events(moves)
        others = {name for row in rows for name in row} - {"id", *self.watched}
        if others:
            self._add_summary("updated", count, fields=sorted(others))
        return count

    @_named
    async def bulk_upsert(
        self, rows: Iterable[Data], *, match: str | Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> int:  # fmt: skip
        """
        Add or change many records; say what became of watched fields of known ids.
        """
        names = match_of(self._fields, match)
        # As it will be stored, so that "2" is the record 2 to the events as well.
        coming = each_of(self._fields, rows)
        checked: list[Any] = await bulk.checked_by(self._fields.for_upsert, coming)
        given = [{name: row[name] for name in names} for row, names in checked]
        await self._require_links(given, names)
        moves = await self._moves(given)
        count = await bulk.upsert_many(
            self.session, CheckedFields(self._fields), checked, match=names,
            among=None if self._sees_all else self.base_query().statement,
            progress=progress,
        )  # fmt: skip
        await self._write_events(moves)
        projects = (row.get("project_id") for row in given)
        self._add_summary("upserted", count, projects)
        return count

    async def bulk_delete(
        self, ids: Iterable[Any], *, progress: Progress | None = None
    ) -> int:
        """
        Delete many records, and add one event with their number.
        """
        given = [*each_of(self._fields, ids)]
        projects = await self._projects_of(given)
        count = await super().bulk_delete(given, progress=progress)
        self._add_summary("deleted", count, projects)
        return count

    async def _delete_what(self, query: QueryBuilder[ModelT]) -> int:
        projects: Iterable[Any] = ()
        if self.model is not Project:
            found = query.statement.with_only_columns(self.model.project_id)
            projects = await self.session.scalars(found.distinct().limit(2))
        count = await super()._delete_what(query)
        self._add_summary("deleted", count, projects)
        return count

    # --- what is not to be written -------------------------------------------------

    async def _require_new(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """
        Raise before many rows are added that would link what does not belong.
        """
        await self._require_own(enumerate(map(link_of, rows)))

    async def _require_links(
        self, rows: Sequence[Mapping[str, Any]], match: Sequence[str]
    ) -> None:
        """
        Raise before many rows are changed that would link what does not belong.
        """

    async def _require_own(self, links: Iterable[tuple[int | None, Link]]) -> None:
        """
        Raise if one of these, each with its number in errors, links two projects.
        """

    # --- what it was before -------------------------------------------------------

    async def _moves(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """
        The events of a bulk update that is to change watched fields.
        """
        events = []
        for name, action in self.watched.items():
            new = {
                row["id"]: row[name]
                for row in rows
                if name in row and isinstance(row.get("id"), int)
            }
            for id_, project_id, old in await self._select(new, name):
                if old != new[id_]:
                    events.append({
                        "action": action, "entity_id": id_, "project_id": project_id,
                        "payload": {"from": old, "to": new[id_]},
                    })  # fmt: skip
        return events

    async def _projects_of(self, ids: Iterable[Any]) -> list[int | None]:
        """
        The projects of records that are to be deleted; nothing outlives its project.
        """
        if self.model is Project:
            return [None]
        keys = [key for (key,) in self._fields.keys_of([*ids])]
        return [project_id for _, project_id, _ in await self._select(keys, "id")]

    async def _select(self, ids: Iterable[Any], name: str) -> list[Any]:
        given = [(id_,) for id_ in ids]
        if not given:
            return []
        project = self.model.id if self.model is Project else self.model.project_id
        columns = (self.model.id, project, getattr(self.model, name))
        found = select(*columns).where(any_of([self.model.id], given))
        return [*await self.session.execute(found)]
