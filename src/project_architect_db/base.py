"""
The declarative base of all models.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING_CONVENTION = {
    "pk": "%(table_name)s_%(column_0_N_name)s_pkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
"""The names DuckDB gives to constraints whatever they were called (duckdb-facts §5),
so that a migration finds no difference where there is none."""


class Base(DeclarativeBase):
    """
    The base class of models.

    Example:
        >>> class Note(Base):
        ...     __tablename__ = "notes_example"
        ...     id: Mapped[int] = mapped_column(primary_key=True)
        ...     text: Mapped[str]
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


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
