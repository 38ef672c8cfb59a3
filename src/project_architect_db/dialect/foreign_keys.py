"""
The foreign keys of a metadata, and what becomes of children whose parent goes.

`ondelete` says it. A foreign key without one does what its relationships say, because
that is what `Session.delete` would do: ``cascade="all, delete"`` deletes, a plain
`relationship()` sets NULL where the key may be NULL, rows of a `secondary` table go
with either side, and so does what joined inheritance keeps of a record in its table.
Relationships that are `viewonly`, leave the work to the database (`passive_deletes`
without a cascade), or have conditions besides the key, say nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    Column,
    PrimaryKeyConstraint,
    UniqueConstraint,
    and_,
    exists,
    inspect,
    select,
)
from sqlalchemy.exc import NoReferenceError
from sqlalchemy.orm import RelationshipDirection
from sqlalchemy.orm.mapper import _all_registries

from project_architect_db.dialect.values_table import values_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sqlalchemy import (
        ColumnElement,
        Connection,
        ForeignKeyConstraint,
        MetaData,
        Select,
        Table,
    )
    from sqlalchemy.orm import Mapper, RelationshipProperty

    Keys = Collection[tuple[Any, ...]]

SHOWN = 10
"""How many keys an error carries."""

SOFTLY_DELETED = "softly_deleted"
"""In the `info` of a column: its row is deleted where it is not NULL."""

CASCADE, SET_NULL = "CASCADE", "SET NULL"

_INDEX = "project_architect_db.foreign_keys"


class ForeignKey(NamedTuple):
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
        """
        What becomes of children whose parent goes: `CASCADE`, `SET_NULL`, or nothing.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: It is for its relationships to say, and
                they cannot be configured.
        """
        if self.constraint.ondelete is not None:
            return self.constraint.ondelete.upper()
        said = {*_said_by_relationships(self)}
        return next((action for action in (CASCADE, SET_NULL) if action in said), "")

    @property
    def has_soft_parents(self) -> bool:
        """
        Whether its parents may be deleted softly.
        """
        return any(SOFTLY_DELETED in column.info for column in self.parent.c)

    @property
    def is_unique(self) -> bool:
        """
        Whether no two parents have the same key.
        """
        names = {column.name for column in self.referred}
        unique: list[Iterable[Column[Any]]] = [
            constraint.columns
            for constraint in self.parent.constraints
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
        ]
        unique += [index.columns for index in self.parent.indexes if index.unique]
        found = [{column.name for column in columns} for columns in unique]
        return any(each and each <= names for each in found)

    def parent_of(
        self, keys: Iterable[ColumnElement[Any]], *, alive: bool
    ) -> ColumnElement[bool]:
        """
        Whether the parent with these keys exists, and is not deleted softly either.
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

    def dangling(self) -> ColumnElement[bool]:
        """
        Whether a row of the child's table has a key, and no parent that is alive.
        """
        return and_(
            *(column.is_not(None) for column in self.columns),
            ~self.parent_of(self.columns, alive=True),
        )

    def is_among(self, keys: Keys) -> ColumnElement[bool]:
        """
        Whether a row of the child's table has one of these keys.
        """
        given = values_table(self.referred, keys)
        if len(self.columns) == 1:  # twice as fast
            return self.columns[0].in_(select(given))
        pairs = zip(self.columns, given.c, strict=True)
        return exists().where(*(mine == its for mine, its in pairs))

    def those(self, keys: Keys, *, exist: bool, alive: bool) -> Select[Any]:
        """
        A query for those of the keys that have a parent, or that have none.
        """
        given = values_table(self.columns, keys)
        columns = tuple(given.c)
        found = self.parent_of(columns, alive=alive)
        return select(*columns).where(found if exist else ~found)

    def facts(self, keys: Keys) -> dict[str, Any]:
        """
        What an error says about it.
        """
        shown = [key if len(key) > 1 else key[0] for key in sorted(keys, key=_order)]
        return {
            "table": self.child.name,
            "column": ", ".join(column.name for column in self.columns),
            "parent": self.parent.name,
            "keys": shown[: SHOWN + 1],
        }


def _order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """
    Numbers by their size, everything else by its text.
    """
    return tuple(
        (0, value, "") if isinstance(value, int | float) else (1, 0, str(value))
        for value in key
    )


class Index:
    """
    The foreign keys of a metadata, by child and by parent.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.tables = len(metadata.tables)
        self.of_child: dict[Table, list[ForeignKey]] = {}
        self.of_parent: dict[Table, list[ForeignKey]] = {}
        for table in metadata.tables.values():
            for constraint in table.foreign_key_constraints:
                try:
                    key = ForeignKey(
                        constraint, table, constraint.referred_table,
                        tuple(element.parent for element in constraint.elements),
                        tuple(element.column for element in constraint.elements),
                    )  # fmt: skip
                except NoReferenceError:
                    continue  # its table is of another metadata
                self.of_child.setdefault(table, []).append(key)
                self.of_parent.setdefault(key.parent, []).append(key)

    @classmethod
    def of(cls, metadata: MetaData) -> Index:
        """
        That of a metadata, made once for as many tables as there are.
        """
        index: Index | None = metadata.info.get(_INDEX)
        if index is None or index.tables != len(metadata.tables):
            index = metadata.info[_INDEX] = cls(metadata)
        return index

    def referred(self, table: Table) -> dict[str, Column[Any]]:
        """
        The columns of a table that others refer to, by name.
        """
        keys = self.of_parent.get(table, ())
        return {column.name: column for key in keys for column in key.referred}

    def existing(self, connection: Connection) -> Iterator[ForeignKey]:
        """
        Those whose both tables the database has.
        """
        tables = {table for keys in (self.of_child, self.of_parent) for table in keys}
        inspector = inspect(connection)
        names = {
            schema: set(inspector.get_table_names(schema=schema))
            for schema in {table.schema for table in tables}
        }
        there = {table for table in tables if table.name in names[table.schema]}
        for keys in self.of_child.values():
            yield from (key for key in keys if {key.child, key.parent} <= there)


# --- relationships ------------------------------------------------------------------


def _said_by_relationships(key: ForeignKey) -> Iterator[str]:
    for mapper in _mappers_of(key.child):
        if _is_inheritance(mapper, key):
            yield CASCADE
    for mapper in _mappers_of(key.parent):
        for relationship in mapper.relationships:
            yield _said_by(relationship, key)


def _mappers_of(table: Table) -> Iterator[Mapper[Any]]:
    for registry in _all_registries():
        for mapper in registry.mappers:
            if table in mapper.tables:
                yield mapper


def _is_inheritance(mapper: Mapper[Any], key: ForeignKey) -> bool:
    """
    Whether the key leads from a record's row to the one that its base class has.
    """
    return (
        mapper.inherits is not None
        and mapper.local_table is key.child
        and key.parent in mapper.inherits.tables
        and all(column.primary_key for column in key.columns)
    )


def _said_by(relationship: RelationshipProperty[Any], key: ForeignKey) -> str:
    pairs = relationship.synchronize_pairs
    conditions = getattr(relationship.primaryjoin, "clauses", (None,))
    # The whole key and nothing else: two keys may have a column in common.
    is_of_key = {*zip(key.referred, key.columns, strict=True)} == {*pairs}
    leaves_it = relationship.viewonly or not is_of_key or len(conditions) != len(pairs)
    if leaves_it or relationship.direction is RelationshipDirection.MANYTOONE:
        return ""
    if relationship.secondary is not None:
        return "" if relationship.passive_deletes else CASCADE
    if relationship.cascade.delete:
        return CASCADE
    nullable = all(column.nullable for column in key.columns)
    return SET_NULL if nullable and not relationship.passive_deletes else ""
