"""
Where a document matches, and the part of it worth showing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from project_architect_db.domain.search.tokens import WORD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_MATCHES = 1_000
"""Matches of one text that are looked for."""

Spellings = dict[int, dict[int, set[str]]]
"""The words that match, by clause and by place in it."""

_WORD = re.compile(WORD)
_SPACE = re.compile(r"\s+")


class Match(NamedTuple):
    """
    A match in a text: the characters from `start` up to `end`, as in a slice.
    """

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Highlighting:
    """
    How matches are shown.

    Attributes:
        before: Marks the beginning of a match.
        after: Marks its end.
        escape: Applied to the text around and inside of the marks. For HTML that is
            `html.escape`: documents contain what users wrote.
        length: Characters of a snippet, about.
        snippets: How many of the content, at most.

    Example:
        >>> import html
        >>> marks = Highlighting(before="<mark>", after="</mark>", escape=html.escape)
    """

    before: str = "**"
    after: str = "**"
    escape: Callable[[str], str] = str
    length: int = 160
    snippets: int = 1

    def mark(self, text: str, matches: Sequence[Match], start: int, end: int) -> str:
        """
        A part of the text with its matches marked, and white space in one piece.
        """
        parts, place = [], start
        for match in matches:
            if start <= match.start and match.end <= end:
                parts += [
                    self._shown(text[place : match.start]),
                    self.before,
                    self._shown(text[match.start : match.end]),
                    self.after,
                ]
                place = match.end
        return "".join([*parts, self._shown(text[place:end])])

    def _shown(self, text: str) -> str:
        return self.escape(_SPACE.sub(" ", text))


def find_matches(text: str, spellings: Spellings) -> list[Match]:
    """
    The matches in a text, in its order and without overlap.

    Args:
        text: Title or content.
        spellings: What matches.
    """
    return [match for match, _ in _found(text, spellings)]


def snippets(text: str, spellings: Spellings, show: Highlighting) -> tuple[str, ...]:
    """
    The parts of a text that match most of the query, in the order of the text.

    Without any match it is the beginning.
    """
    found = list(_found(text, spellings))
    matches = [match for match, _ in found]
    shown = []
    for start, end in _windows(text, found, show) or [_window(text, 0, 0, show)]:
        marked = show.mark(text, matches, start, end).strip()
        left, right = "… " * (start > 0), " …" * (end < len(text))
        shown.append(f"{left}{marked}{right}")
    return tuple(shown)


def _found(text: str, spellings: Spellings) -> Iterator[tuple[Match, int]]:
    """
    The matches with the number of their clause.
    """
    starts: dict[str, list[int]] = {}
    for clause, places in spellings.items():
        for spelling in places.get(0, ()):
            starts.setdefault(spelling, []).append(clause)
    words = list(_WORD.finditer(text)) if starts else []
    end = count = 0
    for number, word in enumerate(words):
        if word.start() < end or word[0] not in starts or count == MOST_MATCHES:
            continue
        for clause in starts[word[0]]:
            places = spellings[clause]
            following = words[number : number + len(places)]
            if len(following) == len(places) and all(
                each[0] in places[place] for place, each in enumerate(following)
            ):
                end, count = following[-1].end(), count + 1
                yield Match(word.start(), end), clause
                break


def _windows(
    text: str, found: Sequence[tuple[Match, int]], show: Highlighting
) -> list[tuple[int, int]]:
    """
    The best parts of a text: those with most clauses, then with most matches.
    """
    ranked = []
    for number, (first, _) in enumerate(found):
        inside = []
        for match, clause in found[number:]:
            if match.end - first.start > show.length:
                break
            inside.append(clause)
        ranked.append((-len(set(inside)), -len(inside), number, len(inside)))
    chosen: list[tuple[int, int]] = []
    for *_, number, size in sorted(ranked):
        last = found[max(number, number + size - 1)][0]
        window = _window(text, found[number][0].start, last.end, show)
        if all(window[1] <= start or end <= window[0] for start, end in chosen):
            chosen.append(window)
        if len(chosen) == show.snippets:
            break
    return sorted(chosen)


def _window(text: str, first: int, last: int, show: Highlighting) -> tuple[int, int]:
    """
    The part around some matches, with about the same before and after, in whole words.
    """
    room = max(0, show.length - (last - first))
    start = max(0, first - room // 2)
    end = min(len(text), max(last, start + show.length))
    start = max(0, min(start, end - show.length, first))
    if start > 0 and (space := text.find(" ", start, first)) >= 0:
        start = space + 1
    if end < len(text) and (space := text.rfind(" ", last, end)) >= 0:
        end = space
    return start, end
