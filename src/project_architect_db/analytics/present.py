"""
The present, as questions know it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from project_architect_db.base import utc_now
from project_architect_db.errors import InvalidQuestionError

if TYPE_CHECKING:
    from project_architect_db.analytics.questions import Question

AskedT = ParamSpec("AskedT")
AnswerT = TypeVar("AnswerT")


def present(at: Any = None) -> datetime:
    """
    A time that was given, or the end of this minute.

    So an answer that depends on it, such as the age of something, is kept for as long
    as a minute, is off by that at most, and leaves out nothing that has happened.

    Raises:
        InvalidQuestionError: It is no time with a zone.
    """
    if at is None:
        return utc_now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidQuestionError(
            f"expected a datetime with a time zone, not {at!r}",
            argument="at", value=at,
        )  # fmt: skip
    return at.astimezone(UTC)


def of_the_present(
    ask: Callable[AskedT, Question[AnswerT]],
) -> Callable[AskedT, Question[AnswerT]]:
    """
    Have the questions of a method that takes `at` follow the present, if it is not set.

    A question may be awaited, or watched, for days.
    """

    @wraps(ask)
    def asked(*args: AskedT.args, **kwargs: AskedT.kwargs) -> Question[AnswerT]:
        if kwargs.get("at") is not None:
            return ask(*args, **kwargs)
        minute = present()
        again = partial(ask, *args, **kwargs)
        return replace(again(), again=again, minute=minute)

    return asked
