"""
A nine-column table without relations, like projects.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """
    Models of the benchmarks.
    """


class Item(Base):
    """
    Nine columns, among them a JSON one and two times.
    """

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    idea: Mapped[str]
    architecture: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(50))
    score: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARCHITECTURE = {"framework": "FastAPI", "tags": ["async", "typed"], "complexity": 3}


def values(number: int) -> dict[str, Any]:
    """
    One row, all columns but the key.
    """
    return {
        "name": f"project {number}",
        "description": "what it is about, in a sentence of some length",
        "idea": "an idea that takes a few more words to explain than its name",
        "architecture": ARCHITECTURE,
        "status": "active",
        "score": number * 0.5,
        "created_at": NOW,
        "updated_at": NOW,
    }


CREATE = """
CREATE SEQUENCE items_id_seq;
CREATE TABLE items (
    id INTEGER DEFAULT nextval('items_id_seq') PRIMARY KEY, name VARCHAR NOT NULL,
    description VARCHAR, idea VARCHAR NOT NULL, architecture JSON,
    status VARCHAR NOT NULL, score DOUBLE NOT NULL,
    created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL
)
"""
"""The same table for raw DuckDB."""

COLUMNS = "name, description, idea, architecture, status, score, created_at, updated_at"
INSERT = f"INSERT INTO items ({COLUMNS}) VALUES ($1,$2,$3,$4,$5,$6,$7,$8) RETURNING id"
SELECT = f"SELECT id, {COLUMNS} FROM items WHERE id = $1"
