"""
What a user typed, as what to look for.

Any text is a query; there are no errors.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from project_architect_db.domain.search.tokens import LONGEST_WORD, fold, stem, words

LONGEST_QUERY = 10_000
"""Characters of a query that count."""

MOST_WORDS = 100
"""Words of a query that count."""

_PIECE = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')


class By(Enum):
    """
    How a word has to agree with what was typed.
    """

    TERM = "term"
    """In its stem."""
    FORM = "form"
    """As it is written, but for case and accents."""
    PREFIX = "prefix"
    """In how it begins."""


class Element(NamedTuple):
    """
    One word to look for.
    """

    by: By
    text: str


class Clause(NamedTuple):
    """
    Words to look for, next to each other; mostly one.

    Attributes:
        elements: The words.
        required: No document is found without it.
        excluded: No document is found with it.
    """

    elements: tuple[Element, ...]
    required: bool = False
    excluded: bool = False


def parse(query: str, *, match_all: bool = False) -> list[Clause]:
    """
    The clauses of a query, each once.

    - ``word``: ranks what has it higher. All of its grammatical forms are found.
    - ``"exact phrase"``: has to be there, as it is written.
    - ``prefix*``: as a word, for all that begins so.
    - ``-word``, ``-"phrase"``, ``-prefix*``: must not be there.
    - ``2024-01-15``, ``src/app``: words written together are a phrase, as is a run of
      Chinese, Japanese or Thai.

    Args:
        query: What was typed.
        match_all: Words are required, too.

    Example:
        >>> [clause.elements[0].text for clause in parse('Running "the server" port*')]
        ['run', 'the', 'port']
    """
    # What cannot be stored is not found: half a surrogate pair, for example.
    query = query[:LONGEST_QUERY].encode("utf-8", "replace").decode()
    clauses: dict[Clause, None] = {}
    left = MOST_WORDS
    for minus, quoted, plain in _PIECE.findall(query):
        elements = _phrase(quoted) if quoted else _word(plain)
        elements = elements[:left]
        left -= len(elements)
        if elements:
            required = bool(quoted) or match_all
            excluded = minus == "-"
            clauses[Clause(elements, required and not excluded, excluded)] = None
    return list(clauses)


def _phrase(text: str) -> tuple[Element, ...]:
    return tuple([Element(By.FORM, _typed(word)) for word in words(text)])


def _word(text: str) -> tuple[Element, ...]:
    found = [_typed(word) for word in words(text)]
    elements = [Element(By.TERM, stem(word)) for word in found]
    if found and text.endswith("*"):
        elements[-1] = Element(By.PREFIX, found[-1])
    return tuple(elements)


def _typed(word: str) -> str:
    return fold(word[:LONGEST_WORD])
