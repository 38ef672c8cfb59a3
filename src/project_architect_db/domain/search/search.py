"""
Full-text search in documents.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from project_architect_db.dialect.derived import exists
from project_architect_db.dialect.driver import DriverConnection
from project_architect_db.domain.arguments import (
    require_fitting,
    require_number,
    require_text,
)
from project_architect_db.domain.models import Document
from project_architect_db.domain.search.highlights import (
    Highlighting,
    Match,
    Spellings,
    find_matches,
    snippets,
)
from project_architect_db.domain.search.index import INDEX
from project_architect_db.domain.search.occurrences import OCCURRENCES, given, spell
from project_architect_db.domain.search.query import parse
from project_architect_db.domain.search.ranking import (
    Correction,
    Ranking,
    document_scores,
    parameters,
    spellings,
)
from project_architect_db.domain.vocabulary import DOCUMENT_KINDS
from project_architect_db.errors import UnsupportedOperationError
from project_architect_db.orm.filters import all_of
from project_architect_db.orm.repository_base import named_operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from project_architect_db.domain.search.query import Clause

MOST_RESULTS = 1_000
"""Documents of one page."""


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """
    A document that a search has found.

    Attributes:
        document: The document.
        score: How well it matches, by `Ranking`; only comparable within one search.
        title: Its title with the matches marked.
        snippets: Parts of its content with the matches marked.
        title_matches: Where its title matches.
        content_matches: Where its content matches, the first 1,000 places.
    """

    document: Document
    score: float
    title: str
    snippets: tuple[str, ...]
    title_matches: tuple[Match, ...]
    content_matches: tuple[Match, ...]


class DocumentSearch:
    """
    Ranked full-text search in the titles and contents of documents.

    It finds what the session sees, always: what this transaction has written, and what
    SQL of any kind has committed.

    Args:
        session: Of a DuckDB database.
        ranking: How matches are weighed.
        highlighting: How they are shown.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         project = Project(name="atlas", project_idea="A map.")
        ...         session.add(project)
        ...         await session.flush()
        ...         text = "The tiles are rendered on a server."
        ...         session.add(
        ...             Document(project_id=project.id, title="Map tiles", content=text)
        ...         )
        ...         (found,) = await DocumentSearch(session).search("rendering")
        ...         print(found.snippets[0])
        The tiles are **rendered** on a server.
    """

    label = "DocumentSearch"

    def __init__(
        self, session: AsyncSession, *, ranking: Ranking | None = None,
        highlighting: Highlighting | None = None,
    ) -> None:  # fmt: skip
        self._session = session
        self._ranking = ranking or Ranking()
        self._highlighting = highlighting or Highlighting()

    @named_operation
    async def search(
        self, query: str, *conditions: ColumnElement[bool],
        project_id: int | None = None, kind: str | None = None,
        match_all: bool = False, limit: int = 20, offset: int = 0,
    ) -> list[SearchResult]:  # fmt: skip
        """
        The documents that match, best first; those of the same score by their id.

        A document matches if it has all phrases of the query, and any of its words; see
        `parse` for what else a query can say.

        Args:
            query: What a user typed; any text will do.
            conditions: What has to be true of the documents besides.
            project_id: Of this project alone.
            kind: Of this kind alone.
            match_all: A document needs to have all words.
            limit: How many, at most 1,000.
            offset: How many to leave out at the beginning.

        Raises:
            InvalidDataError: The query is no text, a condition none, a number negative,
                or there is no such kind.
            UnsupportedOperationError: The database is not DuckDB, or has no index.
        """
        where = _where(conditions, project_id, kind)
        for name, value in {"limit": limit, "offset": offset}.items():
            require_number(value, model="Document", field=name)
        clauses = parse(_text(query), match_all=bool(match_all))
        if all(clause.excluded for clause in clauses):
            return []

        def page(correction: Correction | None) -> Select[Document, float, str, str]:
            found = document_scores(clauses, correction)
            best = select(found.c.document_id, found.c.score)
            if where:
                best = best.join(Document, Document.id == found.c.document_id)
            # The page first, and then its documents: texts take long to be carried.
            chosen = (
                best.where(*where)
                .order_by(found.c.score.desc(), found.c.document_id)
                .limit(min(limit, MOST_RESULTS))
                .offset(offset)
                .subquery("chosen")
            )
            return (
                select(Document, chosen.c.score, Document.title, Document.content)
                .join(chosen, chosen.c.document_id == Document.id)
                .order_by(chosen.c.score.desc(), Document.id)
            )

        correction, rows = await self._ask(clauses, page)
        values = parameters(clauses, self._ranking, correction)
        words = await self._session.execute(spellings(clauses, correction), values)
        return await asyncio.to_thread(self._results, rows, words.all())

    @named_operation
    async def reindex(self) -> None:
        """
        Index all documents anew, in a transaction that writes.

        Nothing requires it. It puts in order what many small writes have scattered,
        and forgets the words of documents that are gone; and it is the way out after
        somebody else wrote to the tables of the index.

        Raises:
            UnsupportedOperationError: The database is not DuckDB, or has no index.
        """
        await self._session.flush()
        connection, driver = await self._connected()
        await connection.run_sync(_reindex, driver)

    async def _connected(self) -> tuple[AsyncConnection, DriverConnection]:
        connection = await self._session.connection()
        driver = (await connection.get_raw_connection()).driver_connection
        if not isinstance(driver, DriverConnection):
            raise UnsupportedOperationError(
                "full-text search needs a DuckDB database; for another one, use its own"
            )
        return connection, driver

    async def _ask(
        self, clauses: Sequence[Clause], page: Any
    ) -> tuple[Correction | None, Sequence[Row[Document, float, str, str]]]:
        """
        Run a query on an index that is in step with what this session sees.
        """
        await self._session.flush()
        connection, driver = await self._connected()

        async def run(correction: Correction | None) -> Any:
            values = parameters(clauses, self._ranking, correction)
            return (await self._session.execute(page(correction), values)).all()

        correction = None
        if driver.is_writing:
            await connection.run_sync(_bring_in_step, driver)
        else:
            in_step, commit = driver.database.in_step, driver.snapshot
            if in_step.is_since(INDEX, commit):
                rows = await run(None)
                if in_step.is_since(INDEX, commit):  # no commit has come between
                    return None, rows
            correction = await connection.run_sync(_correction, driver, commit)
        return correction, await run(correction)

    def _results(
        self,
        rows: Iterable[Row[Document, float, str, str]],
        words: Iterable[Row[int, int, str]],
    ) -> list[SearchResult]:
        matching: Spellings = {}
        for clause, place, spelling in words:
            places = matching.setdefault(clause, {})
            places.setdefault(place, set()).add(spelling)
        results = []
        for document, score, title, content in rows:
            in_title = find_matches(title, matching)
            in_content = find_matches(content or "", matching)
            results.append(
                SearchResult(
                    document=document,
                    score=score,
                    title=self._highlighting.mark(title, in_title, 0, len(title)),
                    snippets=snippets(content or "", matching, self._highlighting),
                    title_matches=tuple(in_title),
                    content_matches=tuple(in_content),
                )
            )
        return results


def _text(query: object) -> str:
    """
    What was typed, whatever characters are in it.
    """
    if isinstance(query, str):
        return query
    return require_text(query, model="Document", field="query")


def _where(
    conditions: Sequence[ColumnElement[bool]], project_id: int | None, kind: str | None
) -> list[ColumnElement[bool]]:
    """
    What has to be true of the documents.
    """
    where = [all_of(*conditions).on(Document)] if conditions else []
    if project_id is not None:
        column: Any = Document.project_id
        id_ = require_fitting(project_id, column, model="Document", field=column.key)
        where.append(column == id_)
    if kind is not None:
        DOCUMENT_KINDS.require(kind, model="Document", field="kind")
        where.append(Document.kind == kind)
    return where


def _require_index(connection: Connection) -> None:
    if not exists(connection, INDEX):
        raise UnsupportedOperationError(
            "this database has no search index yet; create_all() makes its tables"
        )


def _bring_in_step(connection: Connection, driver: DriverConnection) -> None:
    driver.changes.bring_in_step(driver, connection, [INDEX])
    if INDEX.name not in driver.changes.kept:
        _require_index(connection)


def _reindex(connection: Connection, driver: DriverConnection) -> None:
    _require_index(connection)
    INDEX.clear(connection)
    driver.changes.distrust(INDEX)
    driver.changes.bring_in_step(driver, connection, [INDEX])


def _correction(
    connection: Connection, driver: DriverConnection, commit: int
) -> Correction | None:
    """
    What the index does not know of what this transaction sees.
    """
    _require_index(connection)
    ids = given(sorted(INDEX.out_of_step(connection)))
    if not ids["firsts"]:
        driver.database.in_step.compared(INDEX, driver.database.commits, commit)
        return None
    return {**ids, **spell(connection, f"WITH occurrences AS ({OCCURRENCES})", ids)}
