"""
The words of some documents, as queries: what is indexed, and what is not yet.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.util.concurrency import await_

from project_architect_db.domain.search.tokens import LONGEST_WORD, VERSION, WORD, forms
from project_architect_db.garbage_collector import collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row

QUICK = 200
"""New words from which on a thread computes their forms: these take some 3 ms."""

GIVEN = """
    SELECT unnest(range(first, past)) FROM (
        SELECT unnest(CAST(:firsts AS BIGINT[])) AS first,
            unnest(CAST(:pasts AS BIGINT[])) AS past
    )
"""
"""The ids of some documents; see `given`."""

OCCURRENCES = f"""
    SELECT (hash(spelling) >> 1)::BIGINT AS word, spelling, document_id,
        (CASE part WHEN 1 THEN place - size - 1 ELSE place END)::INTEGER AS position
    FROM (
        SELECT unnest(words) AS spelling, generate_subscripts(words, 1) AS place,
            len(words) AS size, document_id, part
        FROM (
            SELECT id AS document_id, generate_subscripts([title, content], 1) AS part,
                regexp_extract_all(unnest([title, content]), :pattern) AS words
            FROM documents WHERE id IN ({GIVEN})
        )
    )
"""
"""Every word of these documents: title first, content second."""

SPELLED = """
    SELECT unnest(CAST(:words AS BIGINT[])) AS word,
        unnest(CAST(:spellings AS VARCHAR[])) AS spelling,
        unnest(CAST(:forms AS VARCHAR[])) AS form,
        unnest(CAST(:terms AS VARCHAR[])) AS term
"""
"""A piece of vocabulary; see `spell`."""

_NEW_WORDS = """
    SELECT word, left(any_value(spelling), :longest) FROM occurrences
    WHERE word NOT IN (SELECT word FROM document_words) GROUP BY word
"""


def given(ids: Sequence[int]) -> dict[str, Any]:
    """
    The parameters of the queries above for these documents, in order of their ids.

    The ids go as ranges: those of 100,000 new documents are one.
    """
    firsts: list[int] = []
    pasts: list[int] = []
    for id in ids:
        if pasts and id == pasts[-1]:
            pasts[-1] += 1
        else:
            firsts.append(id)
            pasts.append(id + 1)
    return {"pattern": WORD, "version": VERSION, "firsts": firsts, "pasts": pasts}


def spell(
    connection: Connection, source: str, parameters: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """
    The parameters of `SPELLED` for the words that the vocabulary does not have.

    Args:
        connection: Of the database.
        source: A WITH that has `occurrences`; nothing, where that is a table.
        parameters: Of that.
    """
    return await_(forms_of(new_words(connection, source, parameters)))


def new_words(
    connection: Connection, source: str, parameters: Mapping[str, Any]
) -> Sequence[Row[int, str]]:
    """
    The words that the vocabulary does not have, and how they are spelled; see `spell`.
    """
    sql = text(f"{source} {_NEW_WORDS}")
    values = {**parameters, "longest": LONGEST_WORD}
    new: Sequence[Any] = connection.execute(sql, values).all()
    return new


async def forms_of(new: Sequence[Row[int, str]]) -> dict[str, list[Any]]:
    """
    The parameters of `SPELLED` for new words; many are worked out on a thread.
    """
    if len(new) <= QUICK:
        return _spelled(new)
    return await asyncio.to_thread(_spelled, new)


def _spelled(new: Iterable[Row[int, str]]) -> dict[str, list[Any]]:
    with collector.paused():
        found = [
            (word, spelling, form.form, form.term)
            for word, spelling in new
            for form in forms(spelling)
        ]
    names = ("words", "spellings", "forms", "terms")
    columns = zip(*found, strict=True) if found else ((),) * len(names)
    return dict(zip(names, map(list, columns), strict=True))
