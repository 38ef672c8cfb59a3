"""
Which documents match a query, and how well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Float, column, text

from project_architect_db.domain.search.occurrences import GIVEN, OCCURRENCES, SPELLED
from project_architect_db.domain.search.query import By

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Subquery, TextClause

    from project_architect_db.domain.search.query import Clause

Correction = dict[str, Any]
"""The documents that the index is out of step with, and the words of theirs that it
does not know: parameters of `OCCURRENCES` and `SPELLED`."""

MOST_SPELLINGS = 10_000
"""Words that are marked on a page; a prefix of one letter may have more."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """
    How matches are weighed: Okapi BM25.

    The score of a document is the sum, over the words, prefixes and phrases of the
    query that it has, of ``idf × tf × (k1 + 1) / (tf + k1 × (1 - b + b × length /
    average length))``, where the term frequency tf counts how often it has it, and
    ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))`` for N documents, df of which have it.
    The length is the number of words of title and content. From Robertson and
    Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with the
    1 in the logarithm that Lucene adds, so that no word counts against a document.

    Attributes:
        k1: How much more a word counts that is there more often; 0 is not at all.
        b: How much less a word counts in a long document: 0 is not at all, 1 in
            proportion.
        title: How often a word in the title counts.

    Example:
        >>> Ranking(b=0).k1
        1.2
    """

    k1: float = 1.2
    b: float = 0.75
    title: float = 2.0


_IN_STEP = """
    postings AS (SELECT word, document_id, position FROM document_postings),
    lengths AS (SELECT document_id, length FROM document_lengths),
    vocabulary AS (SELECT word, spelling, form, term FROM document_words)
"""

_CORRECTED = f"""
    occurrences AS ({OCCURRENCES}),
    postings AS (
        SELECT word, document_id, position FROM document_postings
        WHERE document_id NOT IN ({GIVEN})
        UNION ALL SELECT word, document_id, position FROM occurrences
    ),
    lengths AS (
        SELECT document_id, length FROM document_lengths
        WHERE document_id NOT IN ({GIVEN})
        UNION ALL
        SELECT id, count(word) FROM documents LEFT JOIN occurrences ON document_id = id
        WHERE id IN ({GIVEN}) GROUP BY id
    ),
    vocabulary AS (
        SELECT word, spelling, form, term FROM document_words UNION ALL {SPELLED}
    )
"""
"""What they would say if the index were in step with the documents given."""

_ELEMENTS = """
    clause AS (
        SELECT unnest(CAST(:numbers AS INTEGER[])) AS clause,
            unnest(CAST(:required AS BOOLEAN[])) AS required,
            unnest(CAST(:excluded AS BOOLEAN[])) AS excluded
    ),
    element AS (
        SELECT unnest(CAST(:clauses AS INTEGER[])) AS clause,
            unnest(CAST(:sizes AS INTEGER[])) AS size,
            unnest(CAST(:places AS INTEGER[])) AS place,
            unnest(CAST(:manners AS VARCHAR[])) AS manner,
            unnest(CAST(:texts AS VARCHAR[])) AS text
    )
"""

_AGREES = {
    By.TERM: "term = text",
    By.FORM: "form = text",
    By.PREFIX: "starts_with(form, text)",
}

_SINGLE = """
    SELECT clause, document_id,
        sum(CASE WHEN position < 0 THEN :title ELSE 1 END) AS frequency
    FROM postings JOIN wanted USING (word)
    WHERE size = 1 GROUP BY clause, document_id
"""

_PHRASES = """
    SELECT clause, document_id,
        sum(CASE WHEN start < 0 THEN :title ELSE 1 END) AS frequency
    FROM (
        SELECT clause, document_id, position - place AS start
        FROM postings JOIN wanted USING (word)
        WHERE size > 1 GROUP BY clause, document_id, start, size
        HAVING count(DISTINCT place) = size
    ) GROUP BY clause, document_id
"""

_SCORES = """
    corpus AS (SELECT count(*) AS n, avg(length) AS average FROM lengths),
    weight AS (
        SELECT clause, required, excluded, ln(1 + (n - df + 0.5) / (df + 0.5)) AS idf
        FROM (SELECT clause, count(*) AS df FROM hit GROUP BY clause)
        JOIN clause USING (clause), corpus
    )
    SELECT document_id, round(sum(
        idf * frequency * (:k1 + 1)
        / (frequency + :k1 * (1 - :b + :b * length / average))
    ), 9) AS score
    FROM hit JOIN weight USING (clause) JOIN lengths USING (document_id), corpus
    GROUP BY document_id
    HAVING NOT bool_or(excluded) AND count(*) FILTER (required) = :needed
"""
# Rounded, because threads add up in any order, and what is equal has to be equal.


def document_scores(
    clauses: Sequence[Clause], correction: Correction | None
) -> Subquery:
    """
    A query for the documents found: `document_id` and `score`.
    """
    phrases = sorted({len(clause.elements) > 1 for clause in clauses})
    hits = " UNION ALL ".join(_PHRASES if phrase else _SINGLE for phrase in phrases)
    sql = text(f"{_wanted(clauses, correction)}, hit AS ({hits}), {_SCORES}")
    columns = column("document_id", BigInteger), column("score", Float)
    return sql.columns(*columns).subquery("found")


def spellings(clauses: Sequence[Clause], correction: Correction | None) -> TextClause:
    """
    A query for the words that match: `clause`, `place` and `spelling`.
    """
    return text(
        f"{_wanted(clauses, correction)} "
        f"SELECT clause, place, spelling FROM wanted LIMIT {MOST_SPELLINGS}"
    )


def _wanted(clauses: Sequence[Clause], correction: Correction | None) -> str:
    """
    The WITH of both queries, as far as the words that are looked for.
    """
    sources = _IN_STEP if correction is None else _CORRECTED
    manners = {element.by for clause in clauses for element in clause.elements}
    words = " UNION ALL ".join(  # DISTINCT: forms of a word may have one term
        "SELECT DISTINCT clause, size, place, word, spelling "
        "FROM element JOIN vocabulary "
        f"ON {_AGREES[by]} WHERE manner = '{by.value}'"
        for by in By
        if by in manners
    )
    return f"WITH {sources}, {_ELEMENTS}, wanted AS ({words})"


def parameters(
    clauses: Sequence[Clause], ranking: Ranking, correction: Correction | None
) -> dict[str, Any]:
    """
    The parameters of both queries.
    """
    elements = [
        (number, len(clause.elements), place, element.by.value, element.text)
        for number, clause in enumerate(clauses)
        for place, element in enumerate(clause.elements)
    ]
    names = ("clauses", "sizes", "places", "manners", "texts")
    columns = map(list, zip(*elements, strict=True))
    return {
        **dict(zip(names, columns, strict=True)),
        "numbers": list(range(len(clauses))),
        "required": [clause.required for clause in clauses],
        "excluded": [clause.excluded for clause in clauses],
        "needed": sum(clause.required for clause in clauses),
        "k1": ranking.k1,
        "b": ranking.b,
        "title": ranking.title,
        **(correction or {}),
    }
