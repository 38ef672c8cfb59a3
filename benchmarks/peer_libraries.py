"""
The same work with other libraries over duckdb-engine, which is synchronous.

Each does it in the shortest way its documentation shows. Their sessions keep objects
after a commit, as ours do: else each object would be read once more when it is used.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from advanced_alchemy.base import DefaultBase
from advanced_alchemy.filters import LimitOffset, OrderBy
from advanced_alchemy.repository import SQLAlchemySyncRepository
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Integer,
    Sequence,
    String,
    create_engine,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlmodel import Field, SQLModel, col, select

if TYPE_CHECKING:
    from pathlib import Path

# duckdb-engine writes SERIAL for a key that counts, which DuckDB does not have: so the
# keys have a sequence. It is a default of the ORM, not of the table: with that one,
# SQLAlchemy sends 10,000 single INSERTs, which takes several times as long.
KEYS = "items_id_seq"


class AlchemyItem(DefaultBase):
    """
    `benchmarks.models.Item` for advanced-alchemy.
    """

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(Sequence(KEYS), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    idea: Mapped[str]
    architecture: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(String(50))
    score: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class AlchemyItems(SQLAlchemySyncRepository[AlchemyItem]):
    """
    A plain repository.
    """

    model_type = AlchemyItem


class ModelItem(SQLModel, table=True):
    """
    `benchmarks.models.Item` for SQLModel.
    """

    __tablename__ = "items"

    id: int | None = Field(
        default=None, sa_column=Column(Integer, Sequence(KEYS), primary_key=True)
    )
    name: str = Field(max_length=255)
    description: str | None
    idea: str
    architecture: dict[str, Any] | None = Field(sa_type=JSON)
    status: str = Field(max_length=50)
    score: float
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(sa_type=DateTime(timezone=True))


class Peer:
    """
    A library at work on a file of its own.

    Args:
        path: Of the file, which is not there yet.
    """

    name: ClassVar[str]
    model: ClassVar[type[Any]]

    def __init__(self, path: Path) -> None:
        self.engine = create_engine(f"duckdb:///{path}")
        self.model.metadata.create_all(self.engine)
        self.open = self.session()

    def session(self) -> Session:
        """
        A new session.
        """
        return Session(self.engine, expire_on_commit=False)

    def close(self) -> None:
        """
        Let go of the file.
        """
        self.open.close()
        self.engine.dispose()


class AdvancedAlchemy(Peer):
    """
    advanced-alchemy: its synchronous repository, as duckdb-engine is not async.
    """

    name = "advanced-alchemy"
    model = AlchemyItem

    def get(self, id: int) -> object:
        """
        One record by its key, in an open session.
        """
        return AlchemyItems(session=self.open).get(id)

    def page(self) -> object:
        """
        A hundred records, in an open session.
        """
        repository = AlchemyItems(session=self.open)
        return repository.get_many(LimitOffset(100, 0), OrderBy("id"))

    def create(self, row: dict[str, Any]) -> object:
        """
        Add a record, and commit.
        """
        with self.session() as session:
            item = AlchemyItem(**row)
            return AlchemyItems(session=session).add(item, auto_commit=True)

    def update(self, id: int, changes: dict[str, Any]) -> object:
        """
        Change a record, and commit.
        """
        with self.session() as session:
            item = AlchemyItem(id=id, **changes)
            return AlchemyItems(session=session).update(item, auto_commit=True)

    def delete(self, id: int) -> object:
        """
        Delete a record, and commit.
        """
        with self.session() as session:
            return AlchemyItems(session=session).delete(id, auto_commit=True)

    def bulk_create(self, rows: list[dict[str, Any]]) -> object:
        """
        Add many records, and commit.
        """
        with self.session() as session:
            items = [AlchemyItem(**row) for row in rows]
            return AlchemyItems(session=session).add_many(items, auto_commit=True)

    def bulk_update(self, changes: list[Any]) -> None:
        """
        Change many records by their keys, and commit.
        """
        with self.session() as session:
            AlchemyItems(session=session).update_many(changes, auto_commit=True)


class SQLModelPeer(Peer):
    """
    SQLModel, which has sessions and no repository.
    """

    name = "SQLModel"
    model = ModelItem

    def get(self, id: int) -> object:
        """
        One record by its key, in an open session.
        """
        return self.open.get(ModelItem, id)

    def page(self) -> object:
        """
        A hundred records, in an open session.
        """
        statement = select(ModelItem).order_by(col(ModelItem.id)).limit(100)
        return self.open.scalars(statement).all()

    def create(self, row: dict[str, Any]) -> object:
        """
        Add a record, and commit.
        """
        with self.session() as session:
            item = ModelItem(**row)
            session.add(item)
            session.commit()
            return item

    def update(self, id: int, changes: dict[str, Any]) -> object:
        """
        Change a record, and commit.
        """
        with self.session() as session:
            item = session.get_one(ModelItem, id)
            item.sqlmodel_update(changes)
            session.commit()
            return item

    def delete(self, id: int) -> None:
        """
        Delete a record, and commit.
        """
        with self.session() as session:
            session.delete(session.get_one(ModelItem, id))
            session.commit()

    def bulk_create(self, rows: list[dict[str, Any]]) -> object:
        """
        Add many records, and commit.
        """
        with self.session() as session:
            items = [ModelItem(**row) for row in rows]
            session.add_all(items)
            session.commit()
            return items

    def bulk_update(self, changes: list[Any]) -> None:
        """
        Change many records by their keys, and commit.
        """
        with self.session() as session:
            session.execute(update(ModelItem), changes)
            session.commit()


LIBRARIES: list[Any] = [AdvancedAlchemy, SQLModelPeer]
