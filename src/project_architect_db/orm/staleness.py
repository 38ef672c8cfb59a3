"""
What a session has changed before a repository does.

It is written first, so that an error about versions is about the record that was meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select

from project_architect_db.errors import StaleRecordError
from project_architect_db.orm.bulk_checks import any_of, id_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import InstanceState, Mapper


async def flush_others(session: AsyncSession) -> None:
    """
    Flush what was changed before, if anything was.

    SQLAlchemy counts the rows that a flush has found, and cannot say which was missing.
    So the versions are compared here.

    Raises:
        StaleRecordError: Somebody else changed one of the records.
    """
    here = session.sync_session
    changed = [*here.dirty, *here.deleted]
    if not changed:
        return
    by_mapper: dict[Mapper[Any], list[InstanceState[Any]]] = {}
    for record in changed:
        state = inspect(record)
        if state.mapper.version_id_col is not None and (
            record in here.deleted or here.is_modified(record)
        ):
            by_mapper.setdefault(state.mapper, []).append(state)
    with session.no_autoflush:
        for mapper, states in by_mapper.items():
            await _require_fresh(session, mapper, states)
    await session.flush()


async def _require_fresh(
    session: AsyncSession, mapper: Mapper[Any], states: Iterable[InstanceState[Any]]
) -> None:
    counting: Any = mapper.version_id_col
    name = mapper.get_property_by_column(counting).key
    expected: dict[Any, Any] = {
        state.identity: state.committed_state.get(name, state.dict.get(name))
        for state in states
    }
    keys = [getattr(mapper.class_, mapper.get_property_by_column(column).key)
            for column in mapper.primary_key]  # fmt: skip
    version = getattr(mapper.class_, name)
    rows = await session.execute(select(*keys, version).where(any_of(keys, expected)))
    found: dict[Any, Any] = {tuple(row[:-1]): row[-1] for row in rows}
    for key, wanted in expected.items():
        if wanted is not None and found.get(key) != wanted:
            raise StaleRecordError(
                model=mapper.class_.__name__, id=id_of(key), expected=wanted,
                found=found.get(key),
            )  # fmt: skip
