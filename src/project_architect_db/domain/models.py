"""
Projects, their conversations, documents and code repositories, and what happened.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from project_architect_db.base import LOAD_WITH, Base, TimestampMixin, utc_now

_EVERYTHING = {
    LOAD_WITH: "`ProjectRepository.get_with_everything(id)`, or by pages of its own "
    "repository"
}


class Project(Base, TimestampMixin):
    """
    What is being built; its conversations, documents and repositories go with it.
    """

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), index=True)
    description: Mapped[str | None] = mapped_column(Text)
    project_idea: Mapped[str] = mapped_column(Text)
    architecture: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    status: Mapped[str] = mapped_column(String(50), default="draft", index=True)

    conversations: Mapped[list[Conversation]] = relationship(
        back_populates="project", lazy="selectin", passive_deletes="all"
    )
    documents: Mapped[list[Document]] = relationship(
        back_populates="project", lazy="raise", passive_deletes="all", info=_EVERYTHING
    )
    repositories: Mapped[list[Repository]] = relationship(
        back_populates="project", lazy="raise", passive_deletes="all", info=_EVERYTHING
    )
    activity: Mapped[list[Activity]] = relationship(
        lazy="raise", passive_deletes="all", info=_EVERYTHING, order_by="Activity.id"
    )


class Conversation(Base, TimestampMixin):
    """
    A conversation about a project, in one of its phases.

    Its messages are dicts as `domain.schemas.Message` describes them, oldest first.
    """

    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE")
    )
    title: Mapped[str] = mapped_column(String(255))
    phase: Mapped[str] = mapped_column(String(50), default="discovery")
    messages: Mapped[list[dict[str, Any]]] = mapped_column(
        JSON(none_as_null=True), default=list
    )

    project: Mapped[Project] = relationship(
        back_populates="conversations", lazy="raise"
    )


class Repository(Base, TimestampMixin):
    """
    A code repository of a project, and what git and its host say about it.

    `github` is what `domain.schemas.GitHubMetadata` describes.
    """

    __tablename__ = "repositories"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE")
    )
    name: Mapped[str] = mapped_column(String(255))
    path: Mapped[str | None] = mapped_column(Text)
    url: Mapped[str | None] = mapped_column(Text)
    branch: Mapped[str | None] = mapped_column(String(255))
    default_branch: Mapped[str | None] = mapped_column(String(255))
    head_commit: Mapped[str | None] = mapped_column(String(64))
    commit_count: Mapped[int] = mapped_column(default=0)
    first_commit_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_commit_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    contributors: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    commits_per_month: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)
    github: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    build_status: Mapped[str] = mapped_column(String(50), default="unknown")
    last_build_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    project: Mapped[Project] = relationship(back_populates="repositories", lazy="raise")
    documents: Mapped[list[Document]] = relationship(
        back_populates="repository", lazy="raise", passive_deletes="all"
    )


class Document(Base, TimestampMixin):
    """
    A text of a project; with a repository, one of its files.
    """

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE")
    )
    repository_id: Mapped[int | None] = mapped_column(
        ForeignKey("repositories.id", ondelete="CASCADE")
    )
    title: Mapped[str] = mapped_column(String(255))
    path: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(50), default="text")
    language: Mapped[str | None] = mapped_column(String(50))
    content: Mapped[str | None] = mapped_column(Text)
    encoding: Mapped[str | None] = mapped_column(String(20))
    checksum: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(default=0)
    lines: Mapped[int] = mapped_column(default=0)
    missing_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    project: Mapped[Project] = relationship(back_populates="documents", lazy="raise")
    repository: Mapped[Repository | None] = relationship(
        back_populates="documents", lazy="raise"
    )


class Activity(Base):
    """
    Something that happened to one of them: rows are added, and never changed.

    It goes with its project; that a project was deleted is remembered without one.

    Attributes:
        entity: Which model it happened to, as in ``"document"``.
        entity_id: And to which of its records; `None` when to many at once.
        action: What happened, as in ``"status_changed"``.
        actor: Who did it, where that was said.
        payload: The particulars, as in ``{"from": "draft", "to": "active"}``.
        occurred_at: When it happened, which may be long before it was recorded.
    """

    __tablename__ = "activity"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE")
    )
    entity: Mapped[str] = mapped_column(String(50))
    entity_id: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(50))
    actor: Mapped[str | None] = mapped_column(String(255))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    occurred_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=utc_now
    )
