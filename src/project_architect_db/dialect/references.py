"""
Referential integrity, kept by the library.

With FOREIGN KEY constraints DuckDB refuses most updates of a row that is referenced,
and deleting parent and child in one transaction (duckdb-facts §1). So they stay in
SQLAlchemy's metadata, and this is what they mean:

- After a DELETE, rows that have lost their parent follow it (`ondelete` CASCADE), let
  go of it (SET NULL), or end the transaction with an error. A foreign key without
  `ondelete` does what its relationship says: `cascade="all, delete"` is CASCADE.
- What is written into a foreign key has to exist when the transaction commits, in
  whatever order. A parent that is softly deleted does not.
- After SQL that is text alone, COMMIT looks at all foreign keys of the metadata: a
  parent that was there before the transaction was deleted by it, any other was never
  there.

One transaction writes at a time, so nobody takes a parent away between the check and
the COMMIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from sqlalchemy import (
    Connection,
    and_,
    delete,
    event,
    exists,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import NoReferencedTableError
from sqlalchemy.orm import Mapper, RelationshipDirection
from sqlalchemy.util.concurrency import await_

from project_architect_db.dialect.values_table import values_table
from project_architect_db.errors import MissingParentError, StillReferencedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import (
        Column,
        ColumnElement,
        ForeignKeyConstraint,
        MetaData,
        Select,
        Table,
    )

    from project_architect_db.dialect.execution import DuckDBExecutionContext

SHOWN = 10
"""How many keys an error carries."""

SOFTLY_DELETED = "softly_deleted"
"""In the `info` of a column: its row is deleted where it is not NULL."""

_CASCADES = "cascades"
_INDEX = "project_architect_db.foreign_keys"


@event.listens_for(Mapper, "mapper_configured")
def _remember_cascades(mapper: Mapper[Any], _: type) -> None:
    for relationship in mapper.relationships:
        to_many = relationship.direction is RelationshipDirection.ONETOMANY
        if to_many and relationship.cascade.delete:
            columns: Any = [pair[1] for pair in relationship.local_remote_pairs or ()]
            for column in columns:
                for key in column.foreign_keys:
                    key.constraint.info[_CASCADES] = True


class _ForeignKey(NamedTuple):
    """
    A foreign key whose both tables are known.
    """

    constraint: ForeignKeyConstraint
    child: Table
    parent: Table
    columns: tuple[Column[Any], ...]
    referred: tuple[Column[Any], ...]

    @property
    def action(self) -> str:
        default = "CASCADE" if _CASCADES in self.constraint.info else ""
        return (self.constraint.ondelete or default).upper()

    @property
    def name(self) -> str:
        return ", ".join(column.name for column in self.columns)

    def parent_of(
        self, keys: Iterable[ColumnElement[Any]], *, alive: bool
    ) -> ColumnElement[bool]:
        """
        Whether the parent with these keys exists.
        """
        parent: Any = self.parent.alias("parent")
        pairs = zip(self.referred, keys, strict=True)
        conditions = [parent.c[column.key] == key for column, key in pairs]
        if alive:
            conditions += [
                parent.c[column.key].is_(None)
                for column in self.parent.c
                if SOFTLY_DELETED in column.info
            ]
        return exists().where(*conditions)

    def orphaned(self) -> ColumnElement[bool]:
        """
        Whether a row of the child's table has a key, and no parent.
        """
        return and_(
            *(column.is_not(None) for column in self.columns),
            ~self.parent_of(self.columns, alive=False),
        )

    def facts(self, keys: Iterable[Sequence[Any]]) -> dict[str, Any]:
        """
        What an error says about it.
        """
        shown = [tuple(key) if len(key) > 1 else key[0] for key in keys]
        return {
            "table": self.child.name,
            "column": self.name,
            "parent": self.parent.name,
            "keys": shown[:SHOWN],
        }


class _Index:
    """
    The foreign keys of a metadata, by child and by parent.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.tables = len(metadata.tables)
        self.of_child: dict[Table, list[_ForeignKey]] = {}
        self.of_parent: dict[Table, list[_ForeignKey]] = {}
        for table in metadata.tables.values():
            for constraint in table.foreign_key_constraints:
                try:
                    key = _ForeignKey(
                        constraint, table, constraint.referred_table,
                        tuple(element.parent for element in constraint.elements),
                        tuple(element.column for element in constraint.elements),
                    )  # fmt: skip
                except NoReferencedTableError:
                    continue  # its table is of another metadata
                self.of_child.setdefault(table, []).append(key)
                self.of_parent.setdefault(key.parent, []).append(key)

    @classmethod
    def of(cls, metadata: MetaData) -> _Index:
        index: _Index | None = metadata.info.get(_INDEX)
        if index is None or index.tables != len(metadata.tables):
            index = metadata.info[_INDEX] = cls(metadata)
        return index


class References:
    """
    What one transaction has to make sure of before it commits.
    """

    def __init__(self) -> None:
        # Weak: a connection that is forgotten has to be seen as such.
        self._connection: ref[Connection] | None = None
        # Keys that were written; `None` where only the table knows them.
        self._written: dict[_ForeignKey, set[tuple[Any, ...]] | None] = {}

    def clear(self) -> None:
        """
        Forget a transaction that has ended.
        """
        self._connection = None
        self._written = {}

    def use(self, connection: Connection) -> None:
        """
        Execute statements of its own there.
        """
        self._connection = ref(connection)

    # --- while it runs ----------------------------------------------------------

    def before_delete(self, context: DuckDBExecutionContext, table: Table) -> None:
        """
        Find out which parents are still to come, so that their children are no orphans.
        """
        for key in _Index.of(table.metadata).of_parent.get(table, ()):
            if key in self._written:
                missing = context.root_connection.execute(self._missing(key))
                self._written[key] = {tuple(row) for row in missing}

    def after(self, context: DuckDBExecutionContext, table: Table) -> None:
        """
        Note what an INSERT or UPDATE wrote; see to what a DELETE left behind.
        """
        index = _Index.of(table.metadata)
        if context.isdelete:
            if context.rowcount != 0:
                for key in index.of_parent.get(table, ()):
                    self._see_to_orphans(context.root_connection, key)
            return
        for key in index.of_child.get(table, ()):
            self._note(key, _values_of(context, key.columns))
        if context.isupdate:
            for key in index.of_parent.get(table, ()):
                if any(_is_set(context, column) for column in key.referred):
                    self._written[key] = None

    def _note(self, key: _ForeignKey, values: set[tuple[Any, ...]] | None) -> None:
        if values is None:
            self._written[key] = None
        elif values:
            written = self._written.setdefault(key, set())
            if written is not None:
                written |= values

    def _see_to_orphans(self, connection: Connection, key: _ForeignKey) -> None:
        orphaned = key.orphaned()
        if to_come := self._written.get(key):
            given = values_table(key.columns, to_come)
            pairs = zip(key.columns, given.c, strict=True)
            orphaned &= ~exists().where(*(mine == its for mine, its in pairs))
        if key.action == "CASCADE":
            connection.execute(delete(key.child).where(orphaned))
        elif key.action == "SET NULL":
            empty = dict.fromkeys(key.columns)
            connection.execute(update(key.child).where(orphaned).values(empty))
        elif orphans := _some(connection, select(*key.columns).where(orphaned)):
            raise StillReferencedError(**key.facts(orphans))

    # --- at the end -------------------------------------------------------------

    def check(self, metadata: MetaData | None, *, anything: bool) -> None:
        """
        Raise if a key that was written has no parent.

        Args:
            metadata: Whose foreign keys to look at after SQL of unknown effect.
            anything: There was such SQL.

        Raises:
            MissingParentError: There is no row of that key.
            StillReferencedError: It was deleted, or was given another key.
        """
        connection = self._connection() if self._connection else None
        if connection is None:
            return  # nothing has been executed
        if anything and metadata is not None:
            self._check_everything(connection, metadata)
        for key, values in self._written.items():
            if values == set():
                continue
            if missing := _some(connection, self._missing(key)):
                raise MissingParentError(**key.facts(missing))

    def _missing(self, key: _ForeignKey) -> Select[Any]:
        """
        A query for the keys that were written and have no parent.
        """
        values = self._written[key]
        if values is None:
            return select(*key.columns).where(key.orphaned()).distinct()
        given = values_table(key.columns, values)
        columns = tuple(given.c)
        return select(*columns).where(~key.parent_of(columns, alive=True))

    def _check_everything(self, connection: Connection, metadata: MetaData) -> None:
        there = _existing(connection, metadata)
        for key in _all(metadata):
            if not {key.child, key.parent} <= there:
                continue
            keys = select(*key.columns).where(key.orphaned()).distinct()
            orphans = {tuple(row) for row in connection.execute(keys)}
            if not orphans:
                continue
            given = values_table(key.columns, orphans)
            columns = tuple(given.c)
            before = select(*columns).where(key.parent_of(columns, alive=False))
            if missing := orphans - _committed(connection, before):
                raise MissingParentError(**key.facts(sorted(missing, key=repr)))
            self._see_to_orphans(connection, key)


def _all(metadata: MetaData) -> Iterator[_ForeignKey]:
    for keys in _Index.of(metadata).of_child.values():
        yield from keys


def _existing(connection: Connection, metadata: MetaData) -> set[Table]:
    """
    The tables of the metadata that the database has.
    """
    inspector, tables = inspect(connection), set(metadata.tables.values())
    names = {
        schema: set(inspector.get_table_names(schema=schema))
        for schema in {table.schema for table in tables}
    }
    return {table for table in tables if table.name in names[table.schema]}


def _committed(connection: Connection, query: Any) -> set[tuple[Any, ...]]:
    """
    What the query finds in the state from before this transaction.
    """
    compiled: Any = query.compile(dialect=connection.dialect)
    values, processors = compiled.construct_params(), compiled._bind_processors
    parameters = [
        processors[name](values[name]) if name in processors else values[name]
        for name in compiled.positiontup
    ]
    driver: Any = connection.connection.driver_connection
    return set(await_(driver.ask_committed(compiled.string, parameters)))


def _some(connection: Connection, query: Any) -> list[tuple[Any, ...]]:
    ordered = query.distinct().order_by(*query.selected_columns)
    return [tuple(row) for row in connection.execute(ordered.limit(SHOWN + 1))]


def _values_of(
    context: DuckDBExecutionContext, columns: Sequence[Column[Any]]
) -> set[tuple[Any, ...]] | None:
    """
    What a statement wrote into these columns; `None` where only the table knows.

    A key with a NULL in it refers to nothing.
    """
    names = [column.key for column in columns]
    rows: list[dict[str, Any]] = context.compiled_parameters
    statement: Any = context.invoked_statement
    if context.isinsert and (statement.select is not None or statement._multi_values):
        return None
    if all(name in rows[0] for name in names) and not _sets_otherwise(
        statement, columns
    ):
        values = {tuple(row[name] for name in names) for row in rows}
        return {value for value in values if None not in value}
    touched = any(_is_set(context, column) for column in columns)
    by_default = context.isinsert and any(c.server_default for c in columns)
    return None if touched or by_default else set()


def _is_set(context: DuckDBExecutionContext, column: Column[Any]) -> bool:
    """
    Whether the statement gives the column a value, of whatever kind.
    """
    statement: Any = context.invoked_statement
    return column.key in context.compiled_parameters[0] or any(
        getattr(name, "key", name) == column.key for name in statement._values or {}
    )


def _sets_otherwise(statement: Any, columns: Sequence[Column[Any]]) -> bool:
    """
    Whether an upsert sets the columns to something else than its rows say.
    """
    clause = getattr(statement, "_post_values_clause", None)
    assigned: Any = getattr(clause, "update_values_to_set", None) or ()
    names = {column.key for column in columns}
    return any(
        getattr(name, "key", name) in names
        and getattr(getattr(value, "table", None), "name", "") != "excluded"
        for name, value in dict(assigned).items()
    )
