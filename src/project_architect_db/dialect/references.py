"""
Referential integrity, kept by the library.

With FOREIGN KEY constraints DuckDB refuses most updates of a row that is referenced,
and deleting parent and child in one transaction (duckdb-facts §1). So they stay in
SQLAlchemy's metadata, and this is what they mean:

- A DELETE tells the keys of the rows it deletes. Children that have one of these
  follow (CASCADE), let go (SET NULL), or end the transaction with an error; see
  `foreign_keys` for which. Nobody else's children are touched.
- What is written into a foreign key has to exist when the transaction commits, in
  whatever order. A parent that was softly deleted before does not count.
- A key that children have does not change under them.
- After SQL that is text alone, COMMIT looks at all foreign keys of the metadata, and
  finds out by the last commit what it has changed.

One transaction writes at a time, so nobody takes a parent away between the check and
the COMMIT.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from project_architect_db.dialect.foreign_keys import (
    CASCADE,
    SET_NULL,
    SHOWN,
    ForeignKey,
    Index,
)
from project_architect_db.dialect.last_commit import committed, converted, new_keys
from project_architect_db.dialect.values_table import values_table
from project_architect_db.dialect.written import (
    changes,
    may_change,
    may_delete,
    values_of,
)
from project_architect_db.errors import MissingParentError, StillReferencedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection, MetaData, Table

    from project_architect_db.dialect.execution import DuckDBExecutionContext
    from project_architect_db.dialect.foreign_keys import Keys
    from project_architect_db.dialect.row_texts import DeletedRows


class References:
    """
    What one transaction has to make sure of before it commits.
    """

    def __init__(self) -> None:
        # Weak: a connection that is forgotten has to be seen as such.
        self._connection: ref[Connection] | None = None
        # Keys that were written; `None` where only the table knows them.
        self._written: dict[ForeignKey, set[tuple[Any, ...]] | None] = {}
        # Whose parents may have been given other keys.
        self._rekeyed: set[ForeignKey] = set()
        # Keys of parents that were deleted, and whose children have been seen to.
        self._deleted: dict[ForeignKey, set[tuple[Any, ...]]] = {}
        # The keys of parents that are gone, while it is seen to their children.
        self._gone: deque[tuple[ForeignKey, Keys]] | None = None

    def clear(self) -> None:
        """
        Forget a transaction that has ended.
        """
        self._connection = None
        self._written, self._rekeyed, self._deleted = {}, set(), {}

    def use(self, connection: Connection) -> None:
        """
        Execute statements of its own there.
        """
        self._connection = ref(connection)

    @property
    def connection(self) -> Connection | None:
        """
        Where the transaction executes its statements, once there has been one.
        """
        return self._connection() if self._connection else None

    # --- while it runs ----------------------------------------------------------

    def after(
        self, context: DuckDBExecutionContext, table: Table, deleted: DeletedRows | None
    ) -> None:
        """
        Note what an INSERT or UPDATE wrote; see to the children of what is deleted.
        """
        if deleted is not None:
            gone = _keys_of(context, table, deleted)
            for key, keys in gone.items():
                self._deleted.setdefault(key, set()).update(keys)
            self._see_to_children(context.root_connection, gone.items())
        if context.isdelete:
            return
        index = Index.of(table.metadata)
        for key in index.of_child.get(table, ()):
            self._note(key, values_of(context, key.columns))
        for key in index.of_parent.get(table, ()):
            if changes(context, key.referred):
                self._rekeyed.add(key)

    def _note(self, key: ForeignKey, values: set[tuple[Any, ...]] | None) -> None:
        if values is None:
            self._written[key] = None
        elif values:
            written = self._written.setdefault(key, set())
            if written is not None:
                written |= values

    def _see_to_children(
        self, connection: Connection, gone: Iterable[tuple[ForeignKey, Keys]]
    ) -> None:
        """
        Have children follow, and theirs, level by level; then see who has to stay.

        Raises:
            StillReferencedError: Some children neither follow nor let go.
        """
        if self._gone is not None:  # it is one of the statements in the loop below
            self._gone.extend(gone)
            return
        self._gone = deque(gone)
        left: dict[ForeignKey, set[tuple[Any, ...]]] = defaultdict(set)
        trees: dict[ForeignKey, set[tuple[Any, ...]]] = defaultdict(set)
        unknown: SQLAlchemyError | None = None
        try:
            while self._gone:
                key, keys = self._gone.popleft()
                try:
                    action = key.action
                except SQLAlchemyError as error:
                    action, unknown = "", error
                if action == CASCADE and key.child is key.parent and key.is_unique:
                    # Those further down come with them, and come here once more.
                    keys = _with_descendants(connection, key, {*keys} - trees[key])
                    trees[key] |= keys
                if not _let_go(connection, key, keys, action):
                    left[key].update(keys)
        finally:
            self._gone = None
        for key, keys in left.items():
            if found := _some_children(connection, key, keys):
                raise StillReferencedError(**key.facts(found)) from unknown

    # --- at the end -------------------------------------------------------------

    def check(self, metadata: MetaData | None, *, texts: Collection[str]) -> None:
        """
        Raise if a key that was written has no parent, or a parent its children need.

        Args:
            metadata: Whose foreign keys to look at after SQL of unknown effect.
            texts: Such SQL.

        Raises:
            MissingParentError: There is no row of that key.
            StillReferencedError: It was deleted, or was given another key.
        """
        connection = self.connection
        if connection is None:
            return  # nothing has been executed
        written = {**self._written, **dict.fromkeys(self._rekeyed)}
        if texts and metadata is not None:
            index = Index.of(metadata)
            written |= dict.fromkeys(index.existing(connection))
        dangling = {
            key: found
            for key, values in written.items()
            if (found := _dangling(connection, key, values))
        }
        self._see_to_lost(connection, dangling, texts)
        for key, found in dangling.items():
            _require_parents(connection, key, found)

    def _see_to_lost(
        self, connection: Connection, dangling: Mapping[ForeignKey, Keys],
        texts: Collection[str],
    ) -> None:  # fmt: skip
        """
        See to the children whose parents text has deleted.

        Raises:
            StillReferencedError: They have other keys now, or vanished otherwise.
        """
        gone: list[tuple[ForeignKey, Keys]] = []
        for key, found in dangling.items():
            if not texts and key not in self._rekeyed:
                continue
            missing = _without_parent(connection, key, found)
            lost = _with_parent_before(connection, key, missing)
            lost -= self._deleted.get(key, set())
            if lost and (key in self._rekeyed or not may_delete(texts, key.referred)):
                changed = key in self._rekeyed or may_change(texts)
                raise StillReferencedError(**key.facts(lost), rekeyed=changed)
            gone.append((key, lost))
        self._see_to_children(connection, gone)


# --- children whose parents go ------------------------------------------------------


def _keys_of(
    context: DuckDBExecutionContext, table: Table, deleted: DeletedRows
) -> dict[ForeignKey, Keys]:
    """
    By which keys others may have referred to the rows.
    """
    index = Index.of(table.metadata)
    columns = index.referred(table)
    rows = converted(
        deleted.rows, [column.type for column in columns.values()], context.dialect
    )
    found: dict[ForeignKey, Keys] = {}
    for key in index.of_parent[table]:
        places = [[*columns].index(column.name) for column in key.referred]
        keys = {tuple([row[place] for place in places]) for row in rows}
        if known := {each for each in keys if None not in each}:
            found[key] = known
    return found


def _let_go(connection: Connection, key: ForeignKey, keys: Keys, action: str) -> bool:
    """
    Whether the children of these parents have followed or let go.
    """
    if not keys:
        return True
    theirs = key.is_among(keys)
    if not key.is_unique:  # another row may have the same key
        theirs &= ~key.parent_of(key.columns, alive=False)
    if action == CASCADE:
        connection.execute(delete(key.child).where(theirs))
    elif action == SET_NULL:
        empty = dict.fromkeys(key.columns)
        connection.execute(update(key.child).where(theirs).values(empty))
    return action in (CASCADE, SET_NULL)


def _with_descendants(
    connection: Connection, key: ForeignKey, keys: Keys
) -> set[tuple[Any, ...]]:
    """
    The keys of rows, and of those below them in the same table.
    """
    if not keys:
        return set()
    gone = select(values_table(key.referred, keys)).cte("gone", recursive=True)
    pairs = zip(key.columns, gone.c, strict=True)
    below = select(*key.referred).where(*(mine == its for mine, its in pairs))
    found = select(gone.union(below))
    return {tuple(row) for row in connection.execute(found)}


def _some_children(connection: Connection, key: ForeignKey, keys: Keys) -> Keys:
    """
    Some of the keys which children have and no parent has.
    """
    theirs = key.is_among(keys) & ~key.parent_of(key.columns, alive=False)
    found = select(*key.columns).where(theirs).distinct().order_by(*key.columns)
    return [tuple(row) for row in connection.execute(found.limit(SHOWN + 1))]


# --- keys without a parent ----------------------------------------------------------


def _dangling(
    connection: Connection, key: ForeignKey, values: set[tuple[Any, ...]] | None
) -> Keys:
    """
    Keys that have no parent which is alive: of these, or of all children.
    """
    if values is None:
        query = select(*key.columns).where(key.dangling()).distinct()
    else:
        query = key.those(values, exist=False, alive=True)
    return {tuple(row) for row in connection.execute(query)}


def _without_parent(connection: Connection, key: ForeignKey, keys: Keys) -> Keys:
    """
    Those that have no parent at all, not even one that is deleted softly.
    """
    if not key.has_soft_parents:
        return keys
    query = key.those(keys, exist=False, alive=False)
    return {tuple(row) for row in connection.execute(query)}


def _with_parent_before(
    connection: Connection, key: ForeignKey, keys: Keys, *, alive: bool = False
) -> set[tuple[Any, ...]]:
    """
    Those that had a parent before this transaction.
    """
    if not keys:
        return set()
    return {*committed(connection, key.those(keys, exist=True, alive=alive))}


def _require_parents(connection: Connection, key: ForeignKey, keys: Keys) -> None:
    """
    Raise if new children have keys whose parents are missing.

    A transaction may softly delete the parent of a child that it has made itself: what
    it leaves is the same in whatever order.
    """
    new = new_keys(connection, key, keys)
    if not new:
        return
    if missing := _without_parent(connection, key, new):
        raise MissingParentError(**key.facts(missing))
    dead = _with_parent_before(connection, key, new)
    dead -= _with_parent_before(connection, key, new, alive=True)
    if dead:
        raise MissingParentError(**key.facts(dead), softly_deleted=True)
