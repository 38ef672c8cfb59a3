"""
What there is to say about migrations.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class Facts:
    """
    Something that can be told as JSON.
    """

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """
        For JSON.
        """
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True, slots=True)
class Revision(Facts):
    """
    A migration, as its file says.

    Attributes:
        id: What the database remembers when it has run.
        message: What it does.
        after: The revisions it follows; none for the first one, two for a merge.
        path: Its file.
    """

    id: str
    message: str
    after: tuple[str, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class AppliedRevision(Facts):
    """
    A migration that has run, up or down.

    Attributes:
        id: Which one.
        message: What it does.
        seconds: How long it took, with its COMMIT.
    """

    id: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Migrated(Facts):
    """
    What a migration of the database did.

    Attributes:
        before: The revision the database was at; several with branches, or none.
        after: The revision it is at.
        revisions: The migrations that ran, in their order.
        backup: The copy of the database that was made before; `None` without one.
        seconds: How long it took, with the backup.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    revisions: tuple[AppliedRevision, ...]
    backup: Path | None
    seconds: float


@dataclass(frozen=True, slots=True)
class MigrationStatus(Facts):
    """
    Where a database is, and what it is missing.

    Attributes:
        database: Its path, or ``:memory:``.
        current: The revision it is at; several with branches, or none.
        heads: The newest revisions.
        pending: The migrations it is missing, oldest first.
    """

    database: str
    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class RowChange(Facts):
    """
    How many rows a table has.

    Attributes:
        before: `None` if it is a new table.
        after: `None` if it is gone.
    """

    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class DryRun(Facts):
    """
    An upgrade of a copy of the database, which is gone again.

    Attributes:
        revisions: The migrations that ran.
        seconds: How long they took all together.
        tables: The rows of each table, before and after.
        drift: What the models have and the upgraded copy has not, or the other way.
        problem: Why it failed; `None` if it did not.
    """

    revisions: tuple[AppliedRevision, ...]
    seconds: float
    tables: dict[str, RowChange]
    drift: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class MigrationCheck(Facts):
    """
    Whether a database can be brought to where the models are.

    Attributes:
        status: Where it is.
        dry_run: What an upgrade of a copy of it did.
    """

    status: MigrationStatus
    dry_run: DryRun

    @property
    def ok(self) -> bool:
        """
        Whether the upgrade works, and models and database agree after it.
        """
        return self.dry_run.problem is None and not self.dry_run.drift

    def as_dict(self) -> dict[str, Any]:
        """
        For JSON.
        """
        return {**asdict(self), "ok": self.ok}
