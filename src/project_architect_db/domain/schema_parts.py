"""
What is inside the JSON of the models: messages, GitHub's metadata, builds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import (
    InitErrorDetails,
    PydanticCustomError,
    to_jsonable_python,
)

from project_architect_db.base import utc_now
from project_architect_db.domain.schema_fields import (
    AnyJson,
    CommitHash,
    Count,
    GitHubName,
    Name,
    PastTime,
    Text,
    Url,
)
from project_architect_db.domain.vocabulary import BuildStatus, Role
from project_architect_db.orm.schema import Schema, absent


class _WithFurtherFields(Schema):
    """
    Keeps further fields, if they are JSON; those of other schemas, too.
    """

    model_config = {"extra": "allow"}
    __pydantic_extra__: dict[str, AnyJson]
    _is_update: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _of_schemas(cls, data: Any) -> Any:
        """
        All that another schema says; as an object it would tell known fields alone.
        """
        if not isinstance(data, BaseModel) or isinstance(data, cls):
            return data
        told: Any = to_jsonable_python(data.model_dump())
        if not isinstance(told, dict):
            return told
        if isinstance(data, StoredMessage):
            del told["position"]
        given = data.model_fields_set
        return {
            name: value for name, value in told.items()
            if name in given or not (value is None or cls._is_update)
        }  # fmt: skip


class _GivenMessage(_WithFurtherFields):
    @model_validator(mode="after")
    def _without_position(self) -> Self:
        """
        Refuse what a `StoredMessage` computes.
        """
        extra = self.__pydantic_extra__
        if "position" in extra:
            problem = PydanticCustomError(
                "computed", "where a message is in its list says so; leave it out"
            )
            raise ValidationError.from_exception_data(
                type(self).__name__,
                [
                    InitErrorDetails(
                        type=problem, loc=("position",), input=extra["position"]
                    )
                ],
            )
        return self


class Message(_GivenMessage):
    """
    One message of a conversation; further fields of yours are kept, if they are JSON.

    What is `None` is left out. `position` is no field of yours: the list tells it.
    """

    role: Role = "user"
    content: Text
    author: Name | None = None
    at: AwareDatetime = Field(default_factory=utc_now)
    """When it was said; by default now."""

    @model_serializer(mode="wrap")
    def _without_nothing(
        self, serialize: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        made: dict[str, Any] = serialize(self)
        return {name: value for name, value in made.items() if value is not None}


class MessageUpdate(_GivenMessage):
    """
    What to change of a message.
    """

    _is_update = True

    role: Role = absent()
    content: Text = absent()
    author: Name | None = absent()
    at: AwareDatetime = absent()


class StoredMessage(Schema):
    """
    A message as it is in its conversation, however it came there.
    """

    model_config = {"extra": "allow"}

    position: int
    """Which one it is, counted from 0."""
    role: str = "user"
    content: str = ""
    author: str | None = None
    at: datetime | None = None


class GitHubMetadata(_WithFurtherFields):
    """
    What GitHub says about a repository, under the names of its REST API.

    Further fields are kept, if they are JSON. Source: https://docs.github.com/en/rest/repos/repos
    """

    full_name: GitHubName
    """`owner/name`."""
    private: bool = False
    archived: bool = False
    fork: bool = False
    license: AnyJson = None
    topics: list[str] = Field(default_factory=list)
    stargazers_count: Count | None = None
    forks_count: Count | None = None
    open_issues_count: Count | None = None
    pushed_at: AwareDatetime | None = None


class Build(_WithFurtherFields):
    """
    How a build of a repository went; further fields are kept, if they are JSON.
    """

    status: BuildStatus
    name: Name = "build"
    """Of the job or workflow."""
    number: Count | None = None
    commit: CommitHash | None = None
    branch: Name | None = None
    url: Url | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """How long it took."""
    at: PastTime = Field(default_factory=utc_now)
    """When it ended, or got this status; by default now, and not in the future."""


class Contributor(_WithFurtherFields):
    """
    Somebody who made commits; further fields are kept, if they are JSON.
    """

    name: Name
    email: Text = ""
    commits: Count = 0
