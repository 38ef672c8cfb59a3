"""
The search index, kept in step with the documents.

DuckDB takes the texts apart and sorts their words, those of all documents at once;
Python sees the words that were never seen before, once each.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import text
from sqlalchemy.util.concurrency import await_

from project_architect_db.base import Base
from project_architect_db.dialect.derived import DERIVED
from project_architect_db.domain.models import Document
from project_architect_db.domain.search.occurrences import (
    GIVEN,
    OCCURRENCES,
    SPELLED,
    forms_of,
    given,
    new_words,
)
from project_architect_db.domain.search.tables import lengths, postings, vocabulary
from project_architect_db.domain.search.tokens import VERSION, words

if TYPE_CHECKING:
    from collections.abc import (
        Collection,
        Coroutine,
        Iterator,
        Mapping,
        Sequence,
    )

    from sqlalchemy import Column, Connection, CursorResult, Table

ResultT = TypeVar("ResultT")

FEW = 20
"""Documents that Python may take apart sooner than DuckDB has planned to do it."""

SHORT = 100_000
"""Characters of these documents together, at most: some 5 ms."""

BYTES_AT_A_TIME = 50_000_000
"""Text that is indexed at once: it takes some hundred megabytes of memory."""

_LISTED = """
    SELECT (hash(spelling) >> 1)::BIGINT AS word, spelling, document_id, position
    FROM (
        SELECT unnest(CAST(:listed AS VARCHAR[])) AS spelling,
            unnest(CAST(:document_ids AS BIGINT[])) AS document_id,
            unnest(CAST(:positions AS INTEGER[])) AS position
    )
"""
"""The same, from Python; see `_add_few`."""

_POSTINGS = "SELECT word, document_id, position FROM occurrences ORDER BY word"

_LENGTHS = f"""
    SELECT id, coalesce(length, 0), (hash(title, content, :version) >> 1)::BIGINT
    FROM documents LEFT JOIN (
        SELECT document_id, count(*) AS length FROM occurrences GROUP BY document_id
    ) ON document_id = id
    WHERE id IN ({GIVEN})
"""
_TEXTS = f"SELECT id, title, content FROM documents WHERE id IN ({GIVEN})"

_PIECES = f"""
    SELECT min(id), max(id) FROM (
        SELECT id, sum(coalesce(strlen(title), 0) + coalesce(strlen(content), 0))
            OVER (ORDER BY id) // {BYTES_AT_A_TIME} AS piece
        FROM documents WHERE id IN ({GIVEN})
    ) GROUP BY piece ORDER BY piece
"""

_COMPARISON = """
    SELECT coalesce(id, document_id)
    FROM documents FULL JOIN document_lengths ON document_id = id
    WHERE id IS NULL OR document_lengths.hash IS DISTINCT FROM
        (hash(title, content, :version) >> 1)::BIGINT
"""


DOCUMENTS: Table = Base.metadata.tables[Document.__tablename__]


class DocumentIndex:
    """
    What `derived` keeps in step with the table of the documents.
    """

    name = "document search"
    columns: Sequence[Column[Any]] = tuple(
        DOCUMENTS.c[name] for name in ("id", "title", "content")
    )
    tables: Sequence[Table] = (postings, vocabulary, lengths)

    def out_of_step(self, connection: Connection) -> list[int]:
        """
        The ids of documents that are new, changed or gone, by the hash of their text.
        """
        found = connection.execute(text(_COMPARISON), {"version": VERSION})
        return [id for (id,) in found]

    def update(self, connection: Connection, keys: Collection[int]) -> None:
        """
        Index the documents that have these ids, and forget those that are gone.
        """
        ids = sorted(map(int, keys))  # DuckDB takes "5" for a key as well
        these, where = given(ids), f"WHERE document_id IN ({GIVEN})"
        sql = f"DELETE FROM document_lengths {where}"
        if _write(connection, lengths, sql, these).rowcount:
            # Else spared: the postings of a document are all over the table.
            sql = f"DELETE FROM document_postings {where}"
            _write(connection, postings, sql, these)
        if len(ids) > FEW or not _add_few(connection, ids):
            for piece in _pieces(connection, ids):
                _add_many(connection, given(piece))

    def clear(self, connection: Connection) -> None:
        """
        Forget all documents and all words.
        """
        for table in self.tables:
            _write(connection, table, f"DELETE FROM {table.name}", {})


async def _started(coroutine: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
    return asyncio.create_task(coroutine)


def _add_few(connection: Connection, ids: list[int]) -> bool:
    """
    Index documents that are not in the index, if they are short.
    """
    texts: Sequence[Any] = connection.execute(text(_TEXTS), given(ids)).all()
    if (
        sum(len(title or "") + len(content or "") for _, title, content in texts)
        > SHORT
    ):
        return False
    listed: list[str] = []
    document_ids: list[int] = []
    positions: list[int] = []
    for id, title, content in texts:
        in_title, in_content = words(title or ""), words(content or "")
        listed += in_title + in_content
        document_ids += [id] * (len(in_title) + len(in_content))
        positions += [*range(-len(in_title), 0), *range(1, len(in_content) + 1)]
    values = {"listed": listed, "document_ids": document_ids, "positions": positions}
    _add(connection, f"WITH occurrences AS ({_LISTED})", {**given(ids), **values})
    return True


def _pieces(connection: Connection, ids: list[int]) -> Iterator[list[int]]:
    """
    The ids of documents that there are, in pieces of not too much text.
    """
    pieces: Sequence[Any] = connection.execute(text(_PIECES), given(ids)).all()
    for first, last in pieces:
        yield ids[bisect_left(ids, first) : bisect_right(ids, last)]


def _add_many(connection: Connection, ids: Mapping[str, Any]) -> None:
    """
    Index documents that are not in the index; see `given`.
    """
    # To take texts apart is half of the work, so it is done once.
    sql = f"CREATE OR REPLACE TEMP TABLE occurrences AS {OCCURRENCES}"
    _write(connection, None, sql, ids)
    _add(connection, "", ids)
    _write(connection, None, "DROP TABLE temp.occurrences", {})


def _add(connection: Connection, source: str, parameters: Mapping[str, Any]) -> None:
    new = new_words(connection, source, parameters)
    spelling = await_(_started(forms_of(new)))  # while the database is busy
    sql = f"INSERT INTO document_postings {source} {_POSTINGS}"
    _write(connection, postings, sql, parameters)
    sql = f"INSERT INTO document_lengths {source} {_LENGTHS}"
    _write(connection, lengths, sql, parameters)
    if new:
        sql = f"INSERT INTO document_words {SPELLED}"
        _write(connection, vocabulary, sql, await_(spelling))


def _write(
    connection: Connection, table: Table | None, sql: str, parameters: Mapping[str, Any]
) -> CursorResult[Any]:
    """
    Run a statement that writes this table, or a temporary one.
    """
    options = {
        "writes": () if table is None else (table.name,),
        "timeout": None,  # it may take longer than statements of the application may
        "operation": "index documents",
    }
    return connection.execute(text(sql), parameters, execution_options=options)


INDEX = DocumentIndex()

DOCUMENTS.info.setdefault(DERIVED, []).append(INDEX)
