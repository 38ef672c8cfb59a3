"""
The present, as questions know it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from project_architect_db.base import utc_now
from project_architect_db.errors import InvalidQuestionError


def present(at: Any = None) -> datetime:
    """
    A time that was given, or the start of this minute.

    So an answer that depends on it, such as the age of something, is kept for as long
    as a minute, and is as old at most.

    Raises:
        InvalidQuestionError: It is no time with a zone.
    """
    if at is None:
        return utc_now().replace(second=0, microsecond=0)
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidQuestionError(
            f"expected a datetime with a time zone, not {at!r}",
            argument="at", value=at,
        )  # fmt: skip
    return at.astimezone(UTC)
