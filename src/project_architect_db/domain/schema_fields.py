"""
The kinds of values that fields of the domain's schemas take.
"""

from __future__ import annotations

import hashlib
import math
import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    StringConstraints,
)

from project_architect_db.base import utc_now
from project_architect_db.domain.git_commands import without_credentials
from project_architect_db.domain.paths import clean_path

TEXT_LIMIT = 10_000_000
"""Characters of a document's content or a project's idea: 10 million."""

JSON_DEPTH = 100
"""Lists and dicts inside of each other; what is deeper, few can read."""

AHEAD = timedelta(days=1)
"""How far into the future a clock may be ahead."""

_IN_URL = r"[^\s\0-\x1f\x7f]"
_URL = re.compile(
    rf"(https?|ssh|git)://([^\s/?#]*@)?[^\s\0-\x1f\x7f/?#@:]+([/?#:]{_IN_URL}*)?"
    rf"|file://{_IN_URL}*/{_IN_URL}+|[\w.-]+@[\w.-]+:{_IN_URL}+",
    re.IGNORECASE,
)
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
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
        raise ValueError("not a SHA-256: 64 digits from 0 to f, in lower case")
    return text


def _clean_commit(text: str) -> str:
    if not _COMMIT.fullmatch(text):
        raise ValueError("not 40 or 64 digits from 0 to f, in lower case")
    return text


def _clean_month(text: str) -> str:
    if not _MONTH.fullmatch(text):
        raise ValueError("not a month, as 2026-08")
    return text


def _clean_text(text: str) -> str:
    text.encode()  # half a surrogate pair has no bytes: a ValueError
    return text


def _clean_name(text: str) -> str:
    if "\0" in text:
        raise ValueError("it has the character U+0000; leave that out")
    return _clean_text(text)


def _not_ahead(at: datetime) -> datetime:
    if at > utc_now() + AHEAD:
        raise ValueError("it is more than a day in the future")
    return at


def _clean_json(value: JsonValue, depth: int = 0) -> JsonValue:
    """
    What comes back from a database as it was.
    """
    if depth > JSON_DEPTH:
        raise ValueError(f"lists and dicts are nested at most {JSON_DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no {value}")
    if isinstance(value, str):
        _clean_text(value)
    elif isinstance(value, list):
        for inner in value:
            _clean_json(inner, depth + 1)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _clean_text(key)
            _clean_json(inner, depth + 1)
    return value


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
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    AfterValidator(_clean_name),
]
Text = Annotated[
    str, StringConstraints(max_length=TEXT_LIMIT), AfterValidator(_clean_text)
]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Bytes = Annotated[int, Field(ge=0, lt=2**31)]
Path = Annotated[str, AfterValidator(clean_path)]
Url = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_clean_url)]
Encoding = Annotated[str, StringConstraints(max_length=20), AfterValidator(_clean_name)]
Checksum = Annotated[str, AfterValidator(_clean_checksum)]
CommitHash = Annotated[str, AfterValidator(_clean_commit)]
Month = Annotated[str, AfterValidator(_clean_month)]
PastTime = Annotated[AwareDatetime, AfterValidator(_not_ahead)]
GitHubName = Annotated[str, AfterValidator(_clean_github_name)]
AnyJson = Annotated[JsonValue, AfterValidator(_clean_json)]
Json = Annotated[dict[str, JsonValue], AfterValidator(_clean_json)]
Id = Annotated[int, Field(ge=1, lt=2**31)]
