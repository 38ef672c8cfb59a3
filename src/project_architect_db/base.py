"""
The declarative base of all models.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, ColumnElement, DateTime, MetaData, event, inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, Mapper, mapped_column

from project_architect_db.errors import NotLoadedError
from project_architect_db.tracked_json import track_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import InstanceState, RelationshipProperty

NAMING_CONVENTION = {
    "pk": "%(table_name)s_%(column_0_N_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
"""The names DuckDB gives to constraints whatever they were called (duckdb-facts §5),
so that a migration finds no difference where there is none."""


_NAMES = ("name", "title")

LOAD_WITH = "load_with"
"""In the `info` of a relationship with `lazy="raise"`: what to call to have it."""


class Base(DeclarativeBase):
    """
    The base class of models.

    Dicts and lists are JSON, and changing them in place is enough to have them saved,
    however deep the change. `None` in such a column is NULL. Times have a zone.

    Example:
        >>> class Note(Base):
        ...     __tablename__ = "notes_example"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        ...     text: Mapped[str]
        ...     labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
        >>> note = Note(text="Call Ada.", labels={"urgent": True})
        >>> note.labels["from"] = "Grace"
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        datetime: DateTime(timezone=True),
    }

    def __repr__(self) -> str:
        """
        Its key, and its name or title, as far as they are loaded.
        """
        state: InstanceState[Any] = inspect(self)
        keys = [
            state.mapper.get_property_by_column(c).key for c in state.mapper.primary_key
        ]
        shown = [name for name in (*keys, *_NAMES) if name in state.dict]
        facts = ", ".join(
            f"{name}={state.dict[name]!r}" for name in dict.fromkeys(shown)
        )
        return f"{type(self).__name__}({facts})"


track_json(Base)


@event.listens_for(Base, "mapper_configured", propagate=True)
def _say_how_to_load(mapper: Mapper[Any], model: type) -> None:
    """
    Have `lazy="raise"` raise an error that says what to do.

    SQLAlchemy calls the loader of an attribute when it is read without being loaded.
    """
    for relationship in mapper.relationships:
        attribute = getattr(model, relationship.key).impl
        if relationship.lazy == "raise":
            attribute.callable_ = functools.partial(
                _load_or_explain, attribute.callable_, relationship
            )


def _load_or_explain(
    load: Callable[..., Any], relationship: RelationshipProperty[Any], *arguments: Any
) -> Any:
    try:
        return load(*arguments)
    except InvalidRequestError as error:
        raise NotLoadedError(
            model=relationship.parent.class_.__name__, field=relationship.key,
            advice=relationship.info.get(LOAD_WITH),
        ) from error  # fmt: skip


def utc_now() -> datetime:
    """
    The time now, aware, in UTC.
    """
    return datetime.now(UTC)


class TimestampMixin:
    """
    When a row was created and last changed, in UTC.

    Set in Python, not by the database: an UPDATE that had to return its new time
    would be rewritten by DuckDB as a delete and an insert.
    """

    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=utc_now, sort_order=1000
    )
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=utc_now, onupdate=utc_now, sort_order=1001
    )


class SoftDeleteMixin:
    """
    When a row was deleted, in UTC; it stays in its table.

    The column alone hides nothing: repositories leave such rows out, and your own
    statements do so with ``.where(~Model.is_deleted)``.

    Example:
        >>> class Letter(Base, SoftDeleteMixin):
        ...     __tablename__ = "letters_example"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        >>> Letter(deleted_at=utc_now()).is_deleted
        True
    """

    deleted_at: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True), sort_order=1002, info={"softly_deleted": True}
    )

    @hybrid_property
    def is_deleted(self) -> bool:
        """
        Whether it was deleted; in a statement, the condition for that.
        """
        return self.deleted_at is not None

    @is_deleted.inplace.expression
    @classmethod
    def _is_deleted(cls) -> ColumnElement[bool]:
        return cls.deleted_at.is_not(None)


class VersionMixin:
    """
    The number of the row's version: 1 at first, one more with each flush of a change.

    A flush that finds another number in the database than the object has writes
    nothing and raises, so that nobody's change is overwritten unseen. Statements, which
    read no object, neither check nor count: ``version=Model.version + 1`` is theirs to
    set.

    Example:
        >>> class Contract(Base, VersionMixin):
        ...     __tablename__ = "contracts_example"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        ...     text: Mapped[str]
    """

    version: Mapped[int] = mapped_column(default=1, sort_order=1003)


@event.listens_for(VersionMixin, "mapper_configured", propagate=True)
def _check_versions(mapper: Mapper[Any], _: type) -> None:
    # Not by `__mapper_args__` of the mixin: a model's own would replace them.
    if mapper.version_id_col is None:
        mapper.version_id_col = mapper.get_property("version").columns[0]
