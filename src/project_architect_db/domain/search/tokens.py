"""
Text as words, and words as what they are found by.

A **word** is a piece of text as it is written: ``Running``, ``os.path.join``,
``parseHTTPResponse``, ``C++``. In scripts without spaces each character is one.

A word has **forms**: itself, its parts and runs of these, without case and accents;
``os.path.join`` has ``path`` and ``os.path`` among them, ``parseHTTPResponse`` has
``httpresponse``. The **term** of a form is its stem, which
"run" and "running" have in common. Only this module knows how; the index stores what
it says.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple

from snowballstemmer.english_stemmer import EnglishStemmer

LONGEST_WORD = 100
"""Characters of a word that count: nobody types more, and a key in base64 is one."""

PARTS = 8
"""Of an identifier: how many, at most, are found in runs of them, too."""

_SEPARATORS = (  # punctuation, symbols, spaces and controls, as ranges of a class
    "\x00-/:-@\\[-\\^`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7\u0589\u05be\u05c0"
    "\u05c3\u060c\u061b\u061f\u06d4\u0964\u0965\u2000-\u200b\u200e-\u206f"
    "\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u3030\u303d\u30a0\u30fb"
    "\ufe10-\ufe1f\ufe30-\ufe6f\ufeff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff65\ufff0-\uffff"
)
_SPACELESS = (  # Thai, Lao, Burmese, Khmer, kana, Chinese characters
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_LETTER = f"[^{_SEPARATORS}{_SPACELESS}]"

WORD = rf"{_LETTER}+(?:[.'’]{_LETTER}+)*(?:\+\+|#)?|[{_SPACELESS}]"
r"""One word, for Python's `re` and for DuckDB alike: without `\w`, which in DuckDB is
ASCII, and without Unicode's categories, of which the two know different versions."""

VERSION = f"2 {version('snowballstemmer')} {unicodedata.unidata_version}"
"""Part of the hash of each indexed text: where words change, it is indexed anew."""

_WORDS = re.compile(WORD)
_ACCENTS = re.compile("[\u0300-\u036f]")
_HUMPS = re.compile(r"[._']+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLAIN = re.compile(r"[A-Z]?[a-z]+|[0-9]+|[A-Z]+")
_STEMMED = re.compile(r"[a-z']+(?:[sydgeil']|er|or|ic|ion|nt|ism|ist)")
"""English words with an end that the stemmer may change; it is slow, so the others and
identifiers are not given to it."""


class Form(NamedTuple):
    """
    One thing a word is found by.

    Attributes:
        form: The word or a part of it, without case and accents.
        term: Its stem.
    """

    form: str
    term: str


def words(text: str) -> list[str]:
    """
    The words of a text, in its order.

    Example:
        >>> words("Don't call os.path.join(a_b) in C++!")
        ["Don't", 'call', 'os.path.join', 'a_b', 'in', 'C++']
    """
    return _WORDS.findall(text)


def fold(text: str) -> str:
    """
    The text without case, accents and the difference of ``ﬁ`` and ``fi``.

    Example:
        >>> fold("Crème BRÛLÉE")
        'creme brulee'
    """
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.replace("’", "'").casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed).casefold())


def stem(form: str) -> str:
    """
    The stem of a form, by the English stemmer of Snowball (Porter 2).

    Example:
        >>> stem("running"), stem("v2.0")
        ('run', 'v2.0')
    """
    if len(form) < 3 or not _STEMMED.fullmatch(form):
        return form
    stemmed: str = EnglishStemmer().stemWord(form)
    return stemmed


@lru_cache(maxsize=10_000)
def forms(word: str) -> tuple[Form, ...]:
    """
    What a word is found by, the word itself first.

    Example:
        >>> print(*(form for form, _ in forms("parseHTTPResponse")))
        parsehttpresponse parse http response parsehttp httpresponse
        >>> [form for form, _ in forms("v2.0")]
        ['v2.0', 'v2', '0']
    """
    word = word[:LONGEST_WORD]
    whole = fold(word)
    found = {whole: None}
    if not _PLAIN.fullmatch(word):
        found |= dict.fromkeys(_parts(word))
    return tuple([Form(form, stem(form)) for form in found])


def _parts(word: str) -> list[str]:
    """
    The parts of an identifier, and runs of them as they are written.
    """
    name = word.rstrip("+#").replace("’", "'")
    ends = [0, *(end for gap in _HUMPS.finditer(name) for end in gap.span()), len(name)]
    spans = [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]
    runs = [
        name[start:end]
        for number, (start, _) in enumerate(spans[:PARTS])
        for _, end in spans[number + 1 : PARTS]
    ]
    return [fold(part) for part in (*(name[a:b] for a, b in spans), *runs)]
