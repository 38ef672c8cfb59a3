"""
The kinds of values that fields of the domain's schemas take.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from project_architect_db.domain.git_commands import without_credentials
from project_architect_db.domain.paths import clean_path

TEXT_LIMIT = 10_000_000
"""Characters of a document's content or a project's idea: 10 million."""

_URL = re.compile(
    r"(https?|ssh|git|file)://[^\s/]*[^\s]*|[\w.-]+@[\w.-]+:[^\s]+", re.IGNORECASE
)
_CHECKSUM = re.compile(r"[0-9a-f]{40,64}")
_GITHUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")


def _clean_url(url: str) -> str:
    """
    The address of a repository, without a password or token.
    """
    if not _URL.fullmatch(url):
        raise ValueError(
            "not the URL of a repository, as https://host/owner/name or "
            "git@host:owner/name"
        )
    return without_credentials(url)


def _clean_checksum(text: str) -> str:
    if not _CHECKSUM.fullmatch(text):
        raise ValueError("not 40 to 64 digits from 0 to f, in lower case")
    return text


def _clean_github_name(text: str) -> str:
    if not _GITHUB_NAME.fullmatch(text):
        raise ValueError("not the name of a repository on GitHub, as owner/name")
    return text


def text_facts(content: str | None) -> dict[str, Any]:
    """
    What is known of a text that has no file: its size, lines, checksum and encoding.
    """
    data = (content or "").encode()
    return {
        "size": len(data),
        "lines": data.count(b"\n") + bool(data and not data.endswith(b"\n")),
        "checksum": None if content is None else hashlib.sha256(data).hexdigest(),
        "encoding": None if content is None else "utf-8",
    }


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)
]
Text = Annotated[str, StringConstraints(max_length=TEXT_LIMIT)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Bytes = Annotated[int, Field(ge=0, lt=2**31)]
Path = Annotated[str, AfterValidator(clean_path)]
Url = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_clean_url)]
Encoding = Annotated[str, StringConstraints(max_length=20)]
Checksum = Annotated[str, AfterValidator(_clean_checksum)]
GitHubName = Annotated[str, AfterValidator(_clean_github_name)]
Json = dict[str, JsonValue]
Id = Annotated[int, Field(ge=1, lt=2**31)]
