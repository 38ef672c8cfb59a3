"""
Whether what a question is asked with makes sense, before anything is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from project_architect_db.domain.vocabulary import PROJECT_STATUSES
from project_architect_db.errors import InvalidQuestionError

_OF_THIS_MACHINE = ("localtime", "posix", "posixrules", "right")
"""Names below which systems keep zones that DuckDB does not know."""

_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def require_among(argument: str, value: Any, known: Collection[str]) -> None:
    """
    Raise unless a word is one of those that are known.

    Raises:
        InvalidQuestionError: It is not.
    """
    if value not in known:
        raise InvalidQuestionError(
            f"{value!r} is none of {', '.join(known)}", argument=argument, value=value
        )


def require_count(
    argument: str, value: Any, *, least: int = 1, most: int = 100_000
) -> int:
    """
    A number of something, if it makes sense.

    Raises:
        InvalidQuestionError: It is none, or too small, or too large.
    """
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise InvalidQuestionError(
            f"expected a whole number from {least:,} to {most:,}, not {value!r}",
            argument=argument, value=value,
        )  # fmt: skip
    return int(value)


@lru_cache(maxsize=100)
def _zone_named(name: str) -> ZoneInfo:
    if name.partition("/")[0] in _OF_THIS_MACHINE:
        raise LookupError(name)
    return ZoneInfo(name)


def zone_of(given: Any) -> ZoneInfo:
    """
    A time zone by its name, if Python and the database both know it.

    Raises:
        InvalidQuestionError: They do not.
    """
    name = given.key if isinstance(given, ZoneInfo) else given
    try:
        return _zone_named(name)
    except (ValueError, OSError, LookupError, TypeError, AttributeError) as error:
        raise InvalidQuestionError(
            f"{given!r} is no time zone; names are like Europe/Berlin",
            argument="zone", value=given,
        ) from error  # fmt: skip


def moment_of(argument: str, given: Any, zone: ZoneInfo) -> datetime | None:
    """
    A time with the offset of the zone; a date is the midnight that it begins with.

    Its offset is a fixed one: Python compares two times of one zone, and takes one from
    the other, as if no clock was ever changed.

    Raises:
        InvalidQuestionError: It is none.
    """
    if given is None:
        return None
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime.combine(given, time())
    if not isinstance(given, datetime):
        raise InvalidQuestionError(
            f"expected a datetime or a date, not {given!r}",
            argument=argument, value=given,
        )  # fmt: skip
    aware = given if given.tzinfo else given.replace(tzinfo=zone)
    try:
        return with_offset(aware.astimezone(UTC).astimezone(zone))
    except OverflowError:  # of the year 1 or 9999: all there is, on that side
        return _FIRST if given.year == 1 else _LAST


def with_offset(value: datetime) -> datetime:
    """
    A time of a zone with its offset alone.
    """
    return value.replace(tzinfo=timezone(value.utcoffset() or timedelta(0)), fold=0)


def projects_of(given: Any) -> tuple[int, ...] | None:
    """
    Ids of projects, sorted; `None` for all projects, which no ids are not.

    Raises:
        InvalidQuestionError: They are none.
    """
    if given is None:
        return None
    ids = [given] if isinstance(given, int) else given
    if isinstance(ids, str) or not isinstance(ids, Collection):
        raise InvalidQuestionError(
            f"expected ids of projects, not {given!r}", argument="projects", value=given
        )
    return tuple(
        require_count("projects", id_, least=-(2**63), most=2**63 - 1)
        for id_ in sorted(ids, key=repr)
    )


def statuses_of(given: Any) -> tuple[str, ...] | None:
    """
    Statuses, sorted; `None` for all.

    Raises:
        InvalidQuestionError: One is not known.
    """
    if given is None:
        return None
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, Collection):
        raise InvalidQuestionError(
            f"expected statuses, not {given!r}", argument="statuses", value=given
        )
    for word in words:
        try:
            PROJECT_STATUSES.check(word)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidQuestionError(
                str(error), argument="statuses", value=word
            ) from error
    return tuple(sorted(words))


def seconds(argument: str, value: Any) -> float:
    """
    A number of seconds, if it makes sense.

    Raises:
        InvalidQuestionError: It does not.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < float("inf"):
        raise InvalidQuestionError(
            f"expected a number of seconds, not {value!r}",
            argument=argument, value=value,
        )  # fmt: skip
    return float(value)
