"""
Words that a field may hold: a typing error is refused, a word of yours can be added.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic_core import core_schema

from project_architect_db.errors import ConfigurationError, InvalidDataError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,49}")


class Vocabulary:
    """
    The known words of one field.

    Args:
        name: What one of the words is called in errors.
        words: What it may hold, in the order in which they come up.

    Example:
        >>> mood = Vocabulary("mood", "calm", "curious")
        >>> mood.check("curious")
        'curious'
        >>> try:
        ...     mood.check("curius")
        ... except ValueError as error:
        ...     print(error)
        'curius' is no mood; did you mean 'curious'?
        >>> mood.add("bored")
        >>> "bored" in mood
        True
    """

    def __init__(self, name: str, *words: str) -> None:
        self.name = name
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
            if not isinstance(word, str) or not _WORD.fullmatch(word):
                raise ConfigurationError(
                    f"{word!r} cannot be a {self.name}: up to 50 lower-case letters, "
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
        raise ValueError(f"{word!r} is no {self.name}; {hint}")

    def require(self, word: Any, *, model: str, field: str) -> None:
        """
        Raise our own error for a word that is not known, where no schema does.

        Raises:
            InvalidDataError: It is not, or is no text.
        """
        if not isinstance(word, str):
            problem = f"expected text, not {type(word).__name__}"
            raise InvalidDataError(problem, model=model, field=field, value=word)
        try:
            self.check(word)
        except ValueError as error:
            raise InvalidDataError(
                str(error), model=model, field=field, value=word
            ) from error

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """
        Have Pydantic check a field: ``Annotated[str, vocabulary]``.
        """
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """
        Show the words there are by now, without promising that there will be no others.
        """
        return {**handler(schema), "examples": [*self._words]}


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

ProjectStatus = Annotated[str, PROJECT_STATUSES]
Phase = Annotated[str, PHASES]
DocumentKind = Annotated[str, DOCUMENT_KINDS]
BuildStatus = Annotated[str, BUILD_STATUSES]
Role = Annotated[str, ROLES]
