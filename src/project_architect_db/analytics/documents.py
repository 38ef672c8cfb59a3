"""
Questions about documents: what is written, read and forgotten, and what is in them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_among, require_count
from project_architect_db.analytics.document_terms import TermQuestions
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.questions import Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

MOST_IDS = 20
"""Of the copies of a text."""


class DocumentsCreated(NamedTuple):
    """
    The documents of a kind that were created in some time.

    Attributes:
        bucket: When that time began.
        kind: Of the documents.
        created: How many there are.
        bytes: How long they are together, as they are now.
    """

    bucket: datetime
    kind: str
    created: int
    bytes: int


class DocumentAccess(NamedTuple):
    """
    How a document is used.

    Attributes:
        document_id: Of the document.
        title: Its title.
        project_id: Its project.
        reads: How often it was read in the period, as far as that was recorded.
        readers: Different actors who read it in the period.
        last_read_at: When it was read last, in the period or not.
        updates: How often it was changed in the period: updated, moved, or by a commit.
        last_changed_at: When it was changed last, in the period or not.
        idle_seconds: Since it was created, read or changed last.
    """

    document_id: int
    title: str
    project_id: int
    reads: int
    readers: int
    last_read_at: datetime | None
    updates: int
    last_changed_at: datetime | None
    idle_seconds: float


class DocumentContent(NamedTuple):
    """
    What there is of a kind and a language.

    Attributes:
        kind: Of the documents.
        language: Of the documents; `None` where it is not known.
        documents: How many there are.
        bytes: How long they are together.
        words: How many they have together: runs of what is no white space of ASCII.
        lines: How many they have together.
        mean_bytes: Of a document.
        median_bytes: Half of them are shorter.
    """

    kind: str
    language: str | None
    documents: int
    bytes: int
    words: int
    lines: int
    mean_bytes: float
    median_bytes: float


class DuplicateText(NamedTuple):
    """
    A text that there is more than once.

    Attributes:
        checksum: Of the text.
        copies: How many documents have it.
        bytes: How long it is.
        wasted_bytes: That would be spared if there were only one.
        document_ids: Of the documents, at most the first 20.
        title: Of the first of them.
    """

    checksum: str
    copies: int
    bytes: int
    wasted_bytes: int
    document_ids: tuple[int, ...]
    title: str


class DocumentQuestions(TermQuestions):
    """
    What can be asked about documents.
    """

    def document_creation(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[DocumentsCreated]]:
        """
        How many documents of which kind were created when, and how long they are.

        One GROUP BY; there is no row for a kind of which none was created then.
        """
        scope = Scope.of(filters)
        where = scope.where(time="created_at", project="project_id")
        return Query(
            name="document_creation",
            title="Documents created",
            sql=f"""
                SELECT {scope.bucket("created_at")} AS bucket, kind,
                    count(*) AS created, CAST(sum(size) AS BIGINT)
                FROM documents WHERE {where}
                GROUP BY bucket, kind ORDER BY bucket, kind
            """,
            row=DocumentsCreated,
            tables=("documents",),
            scope=scope,
            view=view(
                "bar", x=field("bucket", "T", "created"),
                y=field("created", "Q", "documents"), color=field("kind", "N"),
            ),
        ).asked_by(self)  # fmt: skip

    @of_the_present
    def document_access(
        self, *, order: Literal["reads", "idle"] = "reads", limit: int = 100,
        at: datetime | None = None, **filters: Unpack[Filters],
    ) -> Question[Report[DocumentAccess]]:  # fmt: skip
        """
        How documents are used: those read most, or not used for the longest.

        What decides which documents these are is counted for all of them, in one scan
        of the activity; all else for them alone, as readers are costly to tell apart.

        Args:
            order: ``"reads"`` for the most read ones first, ``"idle"`` for those that
                were not used for the longest.
            limit: How many are told of, at most.
            at: Until when they are idle; by default the end of this minute.
        """
        scope = Scope.of(filters)
        require_among("order", order, ("reads", "idle"))
        limit = require_count("limit", limit)
        return Query(
            name="document_access",
            title="Documents read most" if order == "reads" else "Documents not used",
            sql=_access(scope, order),
            row=DocumentAccess,
            tables=("activity", "documents"),
            scope=scope,
            values={"at": present(at), "limit": limit},
            view={
                "transform": [
                    {"calculate": "datum.idle_seconds / 86400", "as": "idle"},
                    {"window": [{"op": "row_number", "as": "place"}]},
                    {"filter": "datum.place <= 30"},
                ],
                **view(
                    "bar", y=field("title", "N", sort=None),
                    x=field(order, "Q", "reads" if order == "reads" else "idle days"),
                ),
            },
        ).asked_by(self)  # fmt: skip

    def document_content(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[DocumentContent]]:
        """
        What there is of each kind and language; of documents created in the period.

        Words are what is between white space: to make that spaces, cut there and drop
        the empty pieces is several times as fast as a pattern.
        """
        scope = Scope.of(filters)
        where = scope.where(time="created_at", project="project_id")
        return Query(
            name="document_content",
            title="What documents consist of",
            sql=f"""
                SELECT kind, language, count(*) AS documents,
                    CAST(sum(size) AS BIGINT) AS bytes,
                    CAST(coalesce(sum({_WORDS}), 0) AS BIGINT),
                    CAST(sum(lines) AS BIGINT), avg(size), median(size)
                FROM documents WHERE {where}
                GROUP BY kind, language
                ORDER BY bytes DESC, kind, language NULLS LAST
            """,
            row=DocumentContent,
            tables=("documents",),
            scope=scope,
            view=view(
                "bar", x=field("bytes", "Q"), y=field("kind", "N", sort="-x"),
                color=field("language", "N"),
            ),
        ).asked_by(self)  # fmt: skip

    def document_duplicates(
        self, *, limit: int = 100, **filters: Unpack[Filters]
    ) -> Question[Report[DuplicateText]]:
        """
        Texts that there are more than once, those that waste most first.

        Copies are counted by their checksum; which documents they are is looked up for
        the worst ones alone. Documents without a checksum are copies of nothing.

        Args:
            limit: How many texts are told of, at most.
        """
        scope = Scope.of(filters)
        limit = require_count("limit", limit)
        where = scope.where(time="created_at", project="project_id")
        return Query(
            name="document_duplicates",
            title="Texts that there are more than once",
            sql=f"""
                WITH worst AS (
                    SELECT checksum, count(*) AS copies, max(size) AS bytes,
                        (count(*) - 1) * max(size) AS wasted
                    FROM documents WHERE checksum IS NOT NULL AND {where}
                    GROUP BY checksum HAVING count(*) > 1
                    ORDER BY wasted DESC, checksum LIMIT :limit)
                SELECT checksum, any_value(copies), any_value(bytes),
                    any_value(wasted) AS wasted, min(id, {MOST_IDS}), arg_min(title, id)
                FROM documents JOIN worst USING (checksum) WHERE {where}
                GROUP BY checksum ORDER BY wasted DESC, checksum
            """,
            row=DuplicateText,
            tables=("documents",),
            scope=scope,
            values={"limit": limit},
            view=view(
                "bar", x=field("wasted_bytes", "Q"), y=field("title", "N", sort="-x")
            ),
        ).asked_by(self)


_SPACED = "content"
for _code in (9, 10, 11, 12, 13):
    _SPACED = f"replace({_SPACED}, chr({_code}), ' ')"
_WORDS = f"len(list_filter(string_split({_SPACED}, ' '), lambda word: word <> ''))"

_USES = "entity = 'document' AND action IN ('read', 'updated', 'changed', 'moved')"


def _access(scope: Scope, order: str) -> str:
    inside = scope.where(time="occurred_at")
    if order == "reads":
        chosen, rank = f"action = 'read' AND {inside}", "-count(*)"
        place = "coalesce(rank, 0)"
    else:
        chosen, rank = "true", "max(occurred_at)"
        place = "greatest(created_at, rank)"
    return f"""
        WITH best AS MATERIALIZED (
            SELECT id, title, project_id, created_at, {place} AS place
            FROM documents LEFT JOIN (
                SELECT entity_id, {rank} AS rank FROM activity
                WHERE {_USES} AND {chosen} GROUP BY entity_id
            ) ON entity_id = id
            WHERE {scope.where(project="project_id")}
            ORDER BY place, id LIMIT :limit)
        SELECT best.id, any_value(title), any_value(best.project_id),
            count(*) FILTER (WHERE action = 'read' AND {inside}),
            count(DISTINCT actor) FILTER (WHERE action = 'read' AND {inside}),
            max(occurred_at) FILTER (WHERE action = 'read'),
            count(*) FILTER (WHERE action <> 'read' AND {inside}),
            max(occurred_at) FILTER (WHERE action <> 'read'),
            greatest(0, epoch_us(CAST(:at AS TIMESTAMPTZ)) - epoch_us(greatest(
                any_value(created_at), max(occurred_at)))) / 1e6
        FROM best LEFT JOIN (
            SELECT entity_id, action, actor, occurred_at FROM activity
            WHERE {_USES} AND entity_id IN (SELECT id FROM best)
        ) ON entity_id = best.id
        GROUP BY best.id ORDER BY any_value(place), best.id
    """
