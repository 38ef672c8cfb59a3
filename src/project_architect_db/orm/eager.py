"""
Relationships that a model loads with its records, for records that were just made.

A query loads them, and no query made these. Reading one would need the database, where
an async session cannot go from an attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import RelationshipDirection
from sqlalchemy.orm.base import PASSIVE_NO_FETCH, PASSIVE_NO_RESULT, SQL_OK
from sqlalchemy.util.concurrency import in_greenlet

from project_architect_db.orm.bulk_checks import any_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import InstanceState, RelationshipProperty

    from project_architect_db.orm.fields import Fields

_EAGER = frozenset({"selectin", "joined", "subquery", "immediate"})


class OwnAttribute:
    """
    What loads a relationship of a new record from its children: there are none yet.

    Where SQLAlchemy can ask the database (in a flush, or `run_sync`), it does: children
    may have come in between.
    """

    def __init__(self, key: str, *, is_list: bool) -> None:
        self.key = key
        self._is_list = is_list

    def __call__(self, state: InstanceState[Any], passive: Any) -> Any:
        """
        What SQLAlchemy calls when the attribute is read.
        """
        if passive & SQL_OK and in_greenlet():
            load: Any = state.manager[self.key].impl.callable_
            return load(state, passive)
        return [] if self._is_list else None


def own_attributes(model: type[Any]) -> dict[str, Any]:
    """
    The eager relationships to children, by name.
    """
    return {
        each.key: OwnAttribute(each.key, is_list=bool(each.uselist))
        for each in _eager(model)
        if _is_own(each)
    }


def _eager(model: type[Any]) -> list[RelationshipProperty[Any]]:
    return [each for each in inspect(model).relationships if each.lazy in _EAGER]


def _is_own(relationship: RelationshipProperty[Any]) -> bool:
    is_parent = relationship.direction is RelationshipDirection.MANYTOONE
    return not (is_parent or relationship.viewonly)


async def complete(session: AsyncSession, record: Any) -> None:
    """
    Have the eager relationships of a new record there.
    """
    eager = _eager(type(record))
    if not eager:
        return
    state, missing = inspect(record), []
    state.callables = {
        key: value
        for key, value in own_attributes(type(record)).items()
        if key not in state.dict
    }
    for each in eager:
        if each.key not in state.dict and not _is_own(each):
            get = state.manager[each.key].impl.get
            if get(state, state.dict, PASSIVE_NO_FETCH) is PASSIVE_NO_RESULT:
                missing.append(each.key)
    if missing:
        await session.refresh(record, missing)


async def load_eagerly(
    session: AsyncSession, fields: Fields, records: Sequence[Any]
) -> None:
    """
    The same for many records of the session, by one query for each relationship.
    """
    others = [each for each in _eager(fields.model) if not _is_own(each)]
    if not others or not records:
        return
    names = {each: _names_of_key(fields, each) for each in others}
    for each, key in names.items():
        if key:
            await _set_parents(session, each, (key, records))
    if not all(names.values()):
        keys = [inspect(record).identity for record in records]
        columns = [getattr(fields.model, name) for name in fields.key]
        found = select(fields.model).where(any_of(columns, keys))
        # what is not loaded yet is filled in
        (await session.scalars(found)).unique().all()


def _names_of_key(fields: Fields, parent: RelationshipProperty[Any]) -> list[str]:
    """
    The attributes with the primary key of a parent, if that is what joins them.
    """
    local: dict[Any, Any] = {far: near for near, far in parent.local_remote_pairs or ()}
    names: dict[Any, str] = {column: name for name, column in fields.columns.items()}
    key = parent.mapper.primary_key
    is_simple = not parent.viewonly and {*local} == {*key}
    return [names[local[column]] for column in key] if is_simple else []


async def _set_parents(
    session: AsyncSession, parent: RelationshipProperty[Any],
    given: tuple[list[str], Sequence[Any]],
) -> None:  # fmt: skip
    names, records = given
    keys = [tuple([vars(record)[name] for name in names]) for record in records]
    mapper = parent.mapper
    columns = [
        getattr(mapper.class_, mapper.get_property_by_column(column).key)
        for column in mapper.primary_key
    ]
    wanted = {key for key in keys if None not in key}
    found = await session.scalars(select(mapper).where(any_of(columns, wanted)))
    parents = {inspect(record).identity: record for record in found.unique()}
    for record, key in zip(records, keys, strict=True):
        vars(record)[parent.key] = parents.get(key)
