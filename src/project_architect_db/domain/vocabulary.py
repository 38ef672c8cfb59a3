"""
Words that a field may hold: a typing error is refused, a word of yours can be added.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from project_architect_db.errors import ConfigurationError

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,49}")


class Vocabulary:
    """
    The known words of one field.

    Args:
        field: What the field is called.
        words: What it may hold, in the order in which they come up.

    Example:
        >>> mood = Vocabulary("mood", "calm", "curious")
        >>> mood.check("curious")
        'curious'
        >>> mood.check("curius")
        Traceback (most recent call last):
        ValueError: 'curius' is no mood; did you mean 'curious'?
        >>> mood.add("bored")
        >>> "bored" in mood
        True
    """

    def __init__(self, field: str, *words: str) -> None:
        self.field = field
        self._words = dict.fromkeys(words)

    def __contains__(self, word: object) -> bool:
        return word in self._words

    @property
    def words(self) -> tuple[str, ...]:
        """
        All of them, in their order.
        """
        return tuple(self._words)

    def add(self, *words: str) -> None:
        """
        Have the field hold these words, too.

        Raises:
            ConfigurationError: One is not of lower-case letters, digits, - and _, or
                longer than 50.
        """
        for word in words:
            if not _WORD.fullmatch(word):
                raise ConfigurationError(
                    f"{word!r} cannot be a {self.field}: up to 50 lower-case letters, "
                    "digits, - and _, a letter first"
                )
        self._words |= dict.fromkeys(words)

    def check(self, word: str) -> str:
        """
        The word, if it is known.

        Raises:
            ValueError: It is not; says what was meant, or what there is.
        """
        if word in self._words:
            return word
        close = difflib.get_close_matches(word.lower(), self._words, n=1)
        hint = (
            f"did you mean {close[0]!r}?"
            if close
            else f"there are {', '.join(self._words)}"
        )
        raise ValueError(f"{word!r} is no {self.field}; {hint}")


def _of(vocabulary: Vocabulary) -> Any:
    return WithJsonSchema({"type": "string", "examples": [*vocabulary.words]})


PROJECT_STATUSES = Vocabulary(
    "project status", "draft", "active", "on_hold", "completed", "archived"
)
"""From the idea on; `completed` and `archived` are ends."""

PHASES = Vocabulary(
    "phase", "discovery", "requirements", "design", "implementation", "testing",
    "deployment", "maintenance",
)  # fmt: skip
"""Of a conversation, in the order in which they usually come."""

DOCUMENT_KINDS = Vocabulary(
    "document kind", "text", "file", "code", "specification", "requirements", "design",
    "diagram", "note", "report",
)  # fmt: skip

BUILD_STATUSES = Vocabulary(
    "build status", "unknown", "queued", "running", "passed", "failed", "cancelled"
)
"""Of a code repository: how its last build ended, or that it has not yet."""

ROLES = Vocabulary("role", "user", "assistant", "system", "tool")
"""Who a message is from."""

ProjectStatus = Annotated[
    str, AfterValidator(PROJECT_STATUSES.check), _of(PROJECT_STATUSES)
]
Phase = Annotated[str, AfterValidator(PHASES.check), _of(PHASES)]
DocumentKind = Annotated[str, AfterValidator(DOCUMENT_KINDS.check), _of(DOCUMENT_KINDS)]
BuildStatus = Annotated[str, AfterValidator(BUILD_STATUSES.check), _of(BUILD_STATUSES)]
Role = Annotated[str, AfterValidator(ROLES.check), _of(ROLES)]
