"""
What the four models take and give, as Pydantic schemas.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import (
    AwareDatetime,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from project_architect_db.domain.schema_fields import (
    Bytes,
    Checksum,
    CommitHash,
    Count,
    Encoding,
    Id,
    Json,
    Month,
    Name,
    Path,
    Text,
    Url,
    text_facts,
)
from project_architect_db.domain.schema_parts import (
    Contributor,
    GitHubMetadata,
    Message,
)
from project_architect_db.domain.vocabulary import (
    BuildStatus,
    DocumentKind,
    Phase,
    ProjectStatus,
)
from project_architect_db.orm.schema import Schema, absent


class _Read(Schema):
    id: int
    created_at: datetime
    updated_at: datetime


# --- projects -------------------------------------------------------------------------


class ProjectCreate(Schema):
    """
    A new project.
    """

    name: Name
    description: Text | None = None
    project_idea: Text
    """What is to be built, and why."""
    architecture: Json | None = None
    """The design as far as it is known, in whatever structure."""
    status: ProjectStatus = "draft"


class ProjectUpdate(Schema):
    """
    What to change of a project.
    """

    name: Name = absent()
    description: Text | None = absent()
    project_idea: Text = absent()
    architecture: Json | None = absent()
    status: ProjectStatus = absent()


class ProjectRead(_Read):
    """
    A project as it is.
    """

    name: str
    description: str | None
    project_idea: str
    architecture: dict[str, Any] | None
    status: str


# --- conversations --------------------------------------------------------------------


class ConversationCreate(Schema):
    """
    A new conversation.
    """

    project_id: Id
    title: Name
    phase: Phase = "discovery"
    messages: list[Message] = Field(default_factory=list)


class ConversationUpdate(Schema):
    """
    What to change of a conversation; messages are added and edited one by one.
    """

    title: Name = absent()
    phase: Phase = absent()
    messages: list[Message] = absent()


class ConversationRead(_Read):
    """
    A conversation as it is.
    """

    project_id: int
    title: str
    phase: str
    messages: list[dict[str, Any]]


# --- documents ------------------------------------------------------------------------


class _WithContent(Schema):
    """
    Counts what is to be known of a content, where it is left out.
    """

    @field_validator("checksum", "size", check_fields=False)
    @classmethod
    def _require_agreement(cls, value: Any, info: ValidationInfo) -> Any:
        """
        Refuse what is not true of the content; of other encodings it is not known.
        """
        content = info.data.get("content")
        if content is None or info.data.get("encoding") not in (None, "utf-8"):
            return value
        name = str(info.field_name)
        counted = text_facts(content)[name]
        # A file may begin with a mark of its encoding that is no part of the text.
        if value not in (counted, text_facts(f"\ufeff{content}")[name]):
            raise ValueError(
                f"it contradicts the content, of which it is {counted!r}; leave it out"
            )
        return value

    @model_validator(mode="after")
    def _count(self) -> Self:
        given = self.model_fields_set
        if "content" in given:
            for name, value in text_facts(getattr(self, "content", None)).items():
                if name not in given:
                    setattr(self, name, value)
        return self


class DocumentCreate(_WithContent):
    """
    A new document; size, lines and checksum are counted where they are left out.
    """

    project_id: Id
    repository_id: Id | None = None
    title: Name
    path: Path | None = None
    """Where its file is, from the root of its repository or folder, with `/`."""
    kind: DocumentKind = "text"
    language: Name | None = None
    content: Text | None = None
    encoding: Encoding | None = None
    checksum: Checksum | None = None
    """SHA-256 of the bytes, in hexadecimal."""
    size: Bytes = 0
    """In bytes."""
    lines: Count = 0


class DocumentUpdate(_WithContent):
    """
    What to change of a document; a new content is counted as in `DocumentCreate`.
    """

    title: Name = absent()
    path: Path | None = absent()
    kind: DocumentKind = absent()
    language: Name | None = absent()
    content: Text | None = absent()
    encoding: Encoding | None = absent()
    checksum: Checksum | None = absent()
    size: Bytes = absent()
    lines: Count = absent()


class DocumentRead(_Read):
    """
    A document as it is.
    """

    project_id: int
    repository_id: int | None
    title: str
    path: str | None
    kind: str
    language: str | None
    content: str | None
    encoding: str | None
    checksum: str | None
    size: int
    lines: int
    missing_since: datetime | None


# --- code repositories ----------------------------------------------------------------


class RepositoryCreate(Schema):
    """
    A new code repository.
    """

    project_id: Id
    name: Name
    path: Text | None = None
    """Its working tree on this machine."""
    url: Url | None = None
    branch: Name | None = None
    default_branch: Name | None = None
    head_commit: CommitHash | None = None
    commit_count: Count = 0
    first_commit_at: AwareDatetime | None = None
    last_commit_at: AwareDatetime | None = None
    contributors: list[Contributor] = Field(default_factory=list)
    commits_per_month: dict[Month, Count] = Field(default_factory=dict)
    github: GitHubMetadata | None = None
    build_status: BuildStatus = "unknown"


class RepositoryUpdate(Schema):
    """
    What to change of a code repository.
    """

    name: Name = absent()
    path: Text | None = absent()
    url: Url | None = absent()
    branch: Name | None = absent()
    default_branch: Name | None = absent()
    head_commit: CommitHash | None = absent()
    commit_count: Count = absent()
    first_commit_at: AwareDatetime | None = absent()
    last_commit_at: AwareDatetime | None = absent()
    contributors: list[Contributor] = absent()
    commits_per_month: dict[Month, Count] = absent()
    github: GitHubMetadata | None = absent()
    build_status: BuildStatus = absent()


class RepositoryRead(_Read):
    """
    A code repository as it is.
    """

    project_id: int
    name: str
    path: str | None
    url: str | None
    branch: str | None
    default_branch: str | None
    head_commit: str | None
    commit_count: int
    first_commit_at: datetime | None
    last_commit_at: datetime | None
    contributors: list[dict[str, Any]]
    commits_per_month: dict[str, int]
    github: dict[str, Any] | None
    build_status: str
    last_build_at: datetime | None


# --- what happened --------------------------------------------------------------------


class ActivityRead(Schema):
    """
    Something that happened.
    """

    id: int
    project_id: int | None
    entity: str
    entity_id: int | None
    action: str
    actor: str | None
    payload: dict[str, Any]
    occurred_at: datetime
