"""
Objects of a session in step with rows that were written beside it.

SQLAlchemy's own way from a row to an object is a query, or a flush that takes 30 µs an
object. What it does at the end of either (`sqlalchemy.orm.loading`) is done here for
rows whose every column is known, in about 2 µs an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from sqlalchemy import inspect
from sqlalchemy.orm.state import InstanceState

from project_architect_db.orm.eager import own_attributes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy.orm import Session

    from project_architect_db.orm.fields import Fields

ModelT = TypeVar("ModelT")


def persistent(
    session: Session, fields: Fields, rows: Sequence[dict[str, Any]]
) -> list[Any]:
    """
    Objects of the session for rows of its transaction.

    Args:
        session: What the objects will belong to; a rollback makes them transient.
        fields: Of their model.
        rows: The value of every column, by the name of its attribute. They become
            the objects' own.
    """
    model: Any = fields.model
    key, computed, own = fields.key, fields.computed, own_attributes(fields.model)
    manager = inspect(model).class_manager
    identity, session_id = inspect(model)._identity_class, session.hash_key
    add = session.identity_map._add_unpresent
    on_load = manager.dispatch.load
    new: Any = session._transaction._new  # type: ignore[union-attr]
    made, forget, new_object = new.data, new._remove, model.__new__
    objects = []
    keys = zip(*([row[name] for row in rows] for name in key), strict=True)
    for row, values in zip(rows, keys, strict=True):
        instance: Any = new_object(model)
        instance.__dict__ = row
        row["_sa_instance_state"] = state = InstanceState(instance, manager)
        state.key = (identity, values, None)
        state.session_id = session_id
        add(state, state.key)
        made[ref(state, forget)] = (
            True  # what a WeakKeyDictionary does, at half the time
        )
        if computed:
            state._expire_attributes(row, computed)
        if own:
            state.callables = own.copy()
        if on_load:
            on_load(state, None)
        objects.append(instance)
    return objects


def loaded(
    session: Session, model: type[ModelT], keys: Collection[Any] | None = None
) -> dict[Any, ModelT]:
    """
    The objects of a model that a session has, by key: all, or those with these keys.
    """
    found = {
        inspect(item).identity: item
        for item in session.identity_map.values()
        if isinstance(item, model)
    }
    if keys is None:
        return found
    return {key: item for key, item in found.items() if key in keys}


def mark_deleted(session: Session, objects: Iterable[Any]) -> None:
    """
    Have objects be what a flush makes of deleted ones; a rollback brings them back.
    """
    session._remove_newly_deleted([inspect(item) for item in objects])
