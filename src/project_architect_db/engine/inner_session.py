"""
The synchronous sessions inside of ours, which SQLAlchemy's ORM works with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect.driver import DriverConnection
from project_architect_db.dialect.statements import NO_SAVEPOINTS
from project_architect_db.engine.off_loop import HEAVY
from project_architect_db.errors import StaleRecordError, UnsupportedOperationError
from project_architect_db.garbage_collector import collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection, Engine
    from sqlalchemy.orm import InstanceState

    from project_architect_db.dialect.write_gate import Lease, WriteGate


class _Known(NamedTuple):
    """
    What is known of an object before its flush, which may take it away.
    """

    model: str
    id: Any
    version: Any
    tables: frozenset[str]

    @classmethod
    def of(cls, state: InstanceState[Any]) -> _Known:
        mapper, key = state.mapper, state.identity or ()
        version = None
        if mapper.version_id_col is not None:
            name = mapper.get_property_by_column(mapper.version_id_col).key
            version = state.committed_state.get(name, state.dict.get(name))
        tables = frozenset(str(table) for table in mapper.tables)
        return cls(
            mapper.class_.__name__, key[0] if len(key) == 1 else key, version, tables
        )


def _stale(changed: list[_Known], said: str) -> StaleRecordError:
    """
    The error about the one of them whose table SQLAlchemy names; or about all.
    """
    meant = [each for each in changed if any(f"'{t}'" in said for t in each.tables)]
    if len(meant) == 1:
        (one,) = meant
        return StaleRecordError(
            model=one.model, id=one.id, expected=one.version, found=None
        )
    models = ", ".join(sorted({each.model for each in meant})) or "record"
    ids = tuple(sorted((each.id for each in meant), key=repr))
    return StaleRecordError(model=models, id=ids, expected=None, found=None)


class ReadingSession(Session):
    """
    The synchronous session inside of ours.
    """

    def add_all(self, instances: Iterable[object]) -> None:
        """
        Add objects, without looking for garbage meanwhile: it doubles the time.
        """
        with collector.paused():
            super().add_all(instances)

    def _save_or_update_state(self, state: InstanceState[Any]) -> None:
        """
        What `add()` does; without relationships nothing else is to go with it.

        That takes half of the time of `add_all`, which runs on the event loop.
        """
        if state.mapper.relationships:
            super()._save_or_update_state(state)
        else:
            state._orphaned_outside_of_session = False  # noqa: SLF001 - as super() does
            self._save_or_update_impl(state)

    def flush(self, objects: Any = None) -> None:
        """
        Write what has changed; also before a query, and before COMMIT.

        Raises:
            StaleRecordError: A record was changed or deleted since it was read.
        """
        changed = [
            _Known.of(state)
            for state in (*self.identity_map._modified, *self._deleted)  # noqa: SLF001 - as super() does
        ]
        try:
            super().flush(objects)
        except StaleDataError as error:
            raise _stale(changed, str(error)) from error

    def begin_nested(self) -> NoReturn:
        """
        DuckDB has no savepoints.

        Raises:
            UnsupportedOperationError: Always.
        """
        raise UnsupportedOperationError(NO_SAVEPOINTS)

    def has_heavy_changes(self) -> bool:
        """
        Whether a flush would keep the event loop busy for long.
        """
        return len(self.new) + len(self.dirty) + len(self.deleted) >= HEAVY


class WritingSession(ReadingSession):
    """
    Takes the write gate with its first statement, and then a connection.

    In this order waiting writers hold no connection, and what the transaction
    reads is always the latest state.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        """
        Called by SQLAlchemy at the beginning of each statement.
        """
        gate: WriteGate | None = self.info.get("gate")  # gone when the block has ended
        if gate is not None and "lease" not in self.info:
            self.info["lease"] = await_(
                gate.acquire(
                    timeout=self.info["write_timeout"], opened_at=self.info["opened_at"]
                )
            )
        return super().get_bind(*args, **kwargs)


@event.listens_for(ReadingSession, "after_begin", propagate=True)
def _introduce(session: Session, _: object, connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if isinstance(driver, DriverConnection):
        driver.opened_at = session.info.get("opened_at")
        session.info["driver"] = driver
        lease: Lease | None = session.info.get("lease")
        if lease is not None:
            driver.adopt(lease)
