"""
What `project-architect-db migrate`, `engine.migrate()` and Alembic run.

It looks after the tables of this library's models alone: an application may have
models of its own on the same `Base`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from project_architect_db import Base
from project_architect_db.domain.tables import OWN_TABLES
from project_architect_db.migrating import run_migrations

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def is_own_object(
    item: Any, name: str | None, kind: str, reflected: bool, counterpart: Any
) -> bool:
    """
    Whether a table is of this library, in the models and in the database.
    """
    return kind != "table" or name in OWN_TABLES


def is_own_name(name: str | None, kind: str, parents: MutableMapping[Any, Any]) -> bool:
    """
    Whether something in the database may be; its models name no sequences.
    """
    return kind != "sequence" and (kind != "table" or name in OWN_TABLES)


run_migrations(Base.metadata, include_object=is_own_object, include_name=is_own_name)
