"""
Sums over a table that is only added to: what is new is added to what is known.

`Activity` is such a table. The commit log says whether more was done to it than to add
rows, so that nothing has to be assumed about times: an import may add what happened
years ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from project_architect_db.analytics.questions import Query
from project_architect_db.analytics.reports import Report, RowT
from project_architect_db.garbage_collector import collector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

NOTHING = -(2**63)
"""Before the first id."""


class Growth(NamedTuple):
    """
    What a report was made of, and how far its table went then.

    Attributes:
        sums: By the columns before them.
        rows: How many rows the table had.
        last_id: The greatest of their ids.
    """

    sums: Mapping[tuple[Any, ...], tuple[int, ...]]
    rows: int
    last_id: int

    def __len__(self) -> int:
        """
        How much is to be kept of it.
        """
        return len(self.sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowingQuery(Query[RowT]):
    """
    A query whose last columns are counts or sums.

    Its SQL takes the rows of its table with ``id > :after`` alone; as sums come in any
    order, `finish` has to sort.

    Attributes:
        grows: The table.
        adds: How many columns at the end are added up.
    """

    grows: str
    adds: int = 1

    async def grown(
        self, session: AsyncSession, before: Growth | None
    ) -> tuple[Report[RowT], Growth]:
        """
        The report, and what the next one can be made of.

        Args:
            session: A snapshot.
            before: Of an earlier report, if only rows were added since.
        """
        rows, last_id = await self._size(session)
        known: dict[tuple[Any, ...], tuple[int, ...]] = {}
        after = NOTHING
        if (
            before is not None
            and before.rows + await self._new(session, before) == rows
        ):
            known, after = dict(before.sums), before.last_id
        found = await self.ask(session, {"after": after})
        with collector.paused():
            self._add(known, found)
            report = self.reported([(*group, *sums) for group, sums in known.items()])
        return report, Growth(known, rows, last_id)

    def _add(
        self, known: dict[tuple[Any, ...], tuple[int, ...]],
        found: Sequence[tuple[Any, ...]],
    ) -> None:  # fmt: skip
        for row in map(tuple, found):
            group, sums = row[: -self.adds], row[-self.adds :]
            if (so_far := known.get(group)) is not None:
                sums = tuple(map(add, so_far, sums))
            known[group] = sums

    async def _size(self, session: AsyncSession) -> tuple[int, int]:
        sql = f"SELECT count(*), coalesce(max(id), {NOTHING}) FROM {self.grows}"
        rows, last_id = (await session.execute(text(sql))).one()
        return rows, last_id

    async def _new(self, session: AsyncSession, before: Growth) -> int:
        """
        How many rows follow in the order of ids; others came in between, if any.
        """
        sql = f"SELECT count(*) FROM {self.grows} WHERE id > :last_id"
        found = await session.scalar(text(sql), {"last_id": before.last_id})
        return int(found or 0)
