"""
What documents are about: the words of a time that are not those of others.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

_WORDS = """
about above after again against all and any are aren because been before being below
between both but can cannot could couldn did didn does doesn doing don down during
each few for from further had hadn has hasn have haven having her here hers herself
him himself his how into isn its itself let more most mustn myself nor not off once
only other ought our ours ourselves out over own same shan she should shouldn some
such than that the their theirs them themselves then there these they this those
through too under until very was wasn were weren what when where which while who
whom why will with won would wouldn you your yours yourself yourselves
"""

STOP_WORDS = tuple(_WORDS.split())
"""
English words that say nothing of a text, and what contractions such as "don't" leave.

Source: https://snowballstem.org/algorithms/english/stop.txt, those of three letters or
more, and "will"
"""


class TopTerm(NamedTuple):
    """
    A word that is characteristic of some time.

    Attributes:
        bucket: When that time began.
        term: The word, in lower case.
        occurrences: How often it is in the documents of that time.
        documents: In how many of them.
        score: How surprising that is, as of the log-likelihood ratio: from 3.84 on it
            is chance in one of 20 cases; below 0 it is rarer than at other times.
    """

    bucket: datetime
    term: str
    occurrences: int
    documents: int
    score: float


class TermQuestions(Asker):
    """
    What can be asked about the words of documents.
    """

    def top_terms(
        self, *, limit: int = 10, **filters: Unpack[Filters]
    ) -> Question[Report[TopTerm]]:
        """
        The most characteristic words of the documents of each time, by their creation.

        Words are runs of three letters or more in titles and contents, in lower case,
        but for `STOP_WORDS`. They are compared with those of all other times that are
        asked for by the log-likelihood ratio, G² = 2 · Σ O · ln(O / E); where there is
        no other time, the most frequent ones come first.
        Source: https://ucrel.lancs.ac.uk/llwizard.html

        Texts are cut at spaces, several times as fast as by a pattern; the pieces
        are counted, and only the different ones are taken apart into words. The
        documents are looked through once more, for the words that were chosen.

        The search index is not asked: it is brought up to date by a search.

        Args:
            limit: How many words are told of each time.
        """
        scope = Scope.of(filters)
        limit = require_count("limit", limit, most=1_000)
        return Query(
            name="top_terms",
            title="Characteristic words of documents",
            sql=_sql(scope),
            row=TopTerm,
            tables=("documents",),
            scope=scope,
            values={"limit": limit, "stop_words": list(STOP_WORDS)},
            view=view(
                "point", x=field("bucket", "T", "created"),
                y=field("term", "N", sort="-size"), size=field("occurrences", "Q"),
            ),
        ).asked_by(self)  # fmt: skip


def _sql(scope: Scope) -> str:
    texts = f"""
        SELECT {scope.bucket("created_at")} AS bucket, id, string_split(replace(
            lower(concat_ws(' ', title, content)), chr(10), ' '), ' ') AS pieces
        FROM documents WHERE {scope.where(time="created_at", project="project_id")}
    """
    return f"""
        WITH pieces AS MATERIALIZED (
            SELECT bucket, piece, count(*) AS occurrences
            FROM (SELECT bucket, unnest(pieces) AS piece FROM ({texts}))
            GROUP BY bucket, piece),
        words AS MATERIALIZED (
            SELECT piece, term
            FROM (
                SELECT piece, unnest(regexp_extract_all(piece, '\\pL{{3,}}')) AS term
                FROM (SELECT DISTINCT piece FROM pieces))
            WHERE term NOT IN (SELECT unnest(CAST(:stop_words AS VARCHAR[])))),
        counted AS (
            SELECT *, sum(o) OVER (PARTITION BY term) AS of_term,
                sum(o) OVER (PARTITION BY bucket) AS of_bucket, sum(o) OVER () AS total
            FROM (
                SELECT bucket, term, CAST(sum(occurrences) AS DOUBLE) AS o
                FROM pieces JOIN words USING (piece) GROUP BY bucket, term)),
        scored AS (
            SELECT bucket, term, CAST(o AS BIGINT) AS occurrences,
                round(CASE WHEN o < expected THEN -2 ELSE 2 END * (
                    o * ln(o / expected) + CASE WHEN others = 0 THEN 0 ELSE
                    others * ln(others / (of_term - expected)) END), 6) AS score
            FROM (
                SELECT *, of_term - o AS others,
                    of_term * (of_bucket / total) AS expected
                FROM counted)),
        best AS MATERIALIZED (
            SELECT * FROM scored
            QUALIFY row_number() OVER (PARTITION BY bucket
                ORDER BY score DESC, occurrences DESC, term) <= :limit)
        SELECT bucket, term, any_value(occurrences), count(DISTINCT id) AS documents,
            any_value(score) AS score
        FROM (SELECT bucket, id, unnest(pieces) AS piece FROM ({texts}))
        JOIN (
            SELECT DISTINCT bucket, piece, term, occurrences, score
            FROM best JOIN words USING (term)) USING (bucket, piece)
        GROUP BY bucket, term
        ORDER BY bucket, score DESC, any_value(occurrences) DESC, term
    """
