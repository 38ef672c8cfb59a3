"""
How the repositories of the domain write what happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import insert

from project_architect_db.base import utc_now
from project_architect_db.domain.models import Activity, Project
from project_architect_db.domain.schema_fields import Json
from project_architect_db.errors import InvalidDataError
from project_architect_db.orm.fields import fields_of
from project_architect_db.orm.refusals import each_of
from project_architect_db.orm.repository import BaseRepository

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from project_architect_db.domain.vocabulary import Vocabulary

ModelT = TypeVar("ModelT")

_JSON: TypeAdapter[Any] = TypeAdapter(Json)


class EventWriting(BaseRepository[ModelT]):
    """
    A repository that can write events; see `RecordingRepository`.
    """

    vocabularies: ClassVar[Mapping[str, Vocabulary]] = {}

    def __init__(self, session: AsyncSession, *, actor: str | None = None) -> None:
        super().__init__(session)
        fields_of(Activity).for_update([{"actor": actor}], first=None)
        self.actor = actor

    def _require_words(self, **filters: Any) -> None:
        """
        Raise for a misspelt word, which would find nothing.
        """
        for name, known in self.vocabularies.items():
            words = filters.get(f"{name}__in", ())
            words = [*words] if isinstance(words, list | tuple | set) else []
            for word in (*words, *([filters[name]] if name in filters else [])):
                known.require(word, model=self._name, field=name)

    def _key(self, id: Any) -> int:
        """
        The id of a record, as its column has it.
        """
        ((key,),) = self._fields.keys_of([id], first=None)
        return int(key)

    def add_event(
        self, record: Any, action: str, payload: Mapping[str, Any] | None = None, *,
        occurred_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """
        Have the next flush write what happened to a record.

        Raises:
            InvalidDataError: It is no record of this repository, or no such event.
        """
        if not isinstance(record, self.model):
            raise InvalidDataError(
                f"expected a {self._name}, not {type(record).__name__}",
                model=self._name, field="*", value=record,
            )  # fmt: skip
        event = {
            "action": action, "payload": payload, "occurred_at": occurred_at,
            "entity_id": record.id, "project_id": project_of(record),
        }  # fmt: skip
        require_json(event)
        (row,) = self._rows_of([_told(event)], first=None)
        self.session.add(Activity(**row))

    async def add_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        """
        Write many events at once; each says `action` and what else is to be in its row.

        Raises:
            InvalidDataError: One is no such event.
            UnknownFieldError: `Activity` has no such column.
        """
        given = [*each_of(fields_of(Activity), events)]
        for index, event in enumerate(given):
            require_json(event, index)
        await self._write_events(map(_told, given))

    async def _write_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        rows = self._rows_of(events, first=0)
        if rows:
            await self.session.flush()
            # Else SQLAlchemy begins a new statement with each change of a NULL.
            nulls = {"render_nulls": True}
            await self.session.execute(insert(Activity), rows, execution_options=nulls)

    def _rows_of(
        self, events: Iterable[Mapping[str, Any]], *, first: int | None
    ) -> list[dict[str, Any]]:
        """
        Events as the rows they are stored in.
        """
        common: dict[str, Any] = {
            "entity": entity_of(self.model), "actor": self.actor, "entity_id": None,
            "project_id": None, "payload": {}, "occurred_at": utc_now(),
        }  # fmt: skip
        rows = [{**common, **event} for event in events]
        return fields_of(Activity).for_create(rows, first=first)

    def _tell(self, action: str, payload: Mapping[str, Any], **columns: Any) -> None:
        """
        Have the next flush write an event of our own making.
        """
        event = {"action": action, "payload": dict(payload), **columns}
        (row,) = self._rows_of([event], first=None)
        self.session.add(Activity(**row))

    def _add_summary(
        self, action: str, count: int, projects: Iterable[Any] = (), **payload: Any
    ) -> None:
        """
        One event for many records, with their project if it is the same.
        """
        if count:
            shared = {*projects}
            project_id = shared.pop() if len(shared) == 1 else None
            self._tell(action, {"count": count, **payload}, project_id=project_id)


def require_json(event: Any, index: int | None = None) -> None:
    """
    Raise unless it is an event whose payload comes back as it was.
    """
    problem: Exception | str = f"expected a dict, not {type(event).__name__}"
    field, value = "*", event
    if isinstance(event, Mapping):
        field, value = "payload", event.get("payload")
        try:
            _JSON.validate_python({} if value is None else value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        else:
            return
    raise InvalidDataError(
        str(problem), model="Activity", field=field, value=value, index=index
    )


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    """
    What an event says; what is `None` says nothing.
    """
    return {name: value for name, value in event.items() if value is not None}


def entity_of(model: type[Any]) -> str:
    """
    What activity calls a model: ``"document"`` for `Document`.
    """
    return model.__name__.lower()


def project_of(record: Any) -> int:
    """
    The id of the project that a record is, or belongs to.
    """
    return int(record.id if isinstance(record, Project) else record.project_id)


def subject_of(record: Any) -> dict[str, Any]:
    """
    What activity says of a record that something happened to.

    Raises:
        InvalidDataError: It is no record of a project, or has no id yet.
    """
    of_itself = isinstance(record, Project)
    ids = {
        "entity_id": getattr(record, "id", None),
        "project_id": getattr(record, "id" if of_itself else "project_id", None),
    }
    if not all(isinstance(id_, int) for id_ in ids.values()):
        raise InvalidDataError(
            "expected a project or something of one, written and with its id",
            model="Activity", field="record", value=record,
        )  # fmt: skip
    return {"entity": entity_of(type(record)), **ids}
