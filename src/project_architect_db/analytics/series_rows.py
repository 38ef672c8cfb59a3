"""
What time series are made of: buckets of time, the rows asked for, their tables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    func,
    select,
)
from sqlalchemy import Date as SqlDate
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import COLLECT_CARTESIAN_PRODUCTS
from sqlalchemy.sql.visitors import InternalTraversal

from project_architect_db.analytics.series_terms import (
    Terms,
    has_zone,
    hashable,
    kind_of,
)
from project_architect_db.dialect.commit_log import EVERYTHING
from project_architect_db.dialect.compiler import DuckDBCompiler
from project_architect_db.dialect.dialect import DuckDBDialect_async
from project_architect_db.dialect.time_buckets import bucket
from project_architect_db.domain.models import Project
from project_architect_db.errors import InvalidQuestionError
from project_architect_db.orm.query_fields import visible

if TYPE_CHECKING:
    from project_architect_db.analytics.scope import Scope

PREPARED = 500
"""Statements that are kept, as building one takes a millisecond."""

UNSTEADY = frozenset({
    "age", "ago", "current_date", "current_localtime", "current_localtimestamp",
    "current_query", "current_setting", "current_time", "current_timestamp",
    "current_transaction_id", "currval", "gen_random_uuid", "get_current_time",
    "get_current_timestamp", "getvariable", "localtime", "localtimestamp", "next_value",
    "nextval", "now", "random", "today", "transaction_timestamp", "txid_current",
    "uuid", "uuidv4", "uuidv7",
})  # fmt: skip
"""
Functions that say something else each time, of which no answer can be kept.

Source: ``SELECT function_name, stability FROM duckdb_functions()``
"""

_PLAIN = re.compile(r"\*|\d+|INTERVAL '1 [a-z]+'|MATERIALIZED")
"""SQL without names."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    A statement that can be asked again.

    Attributes:
        statement: It.
        sql: Its text.
        values: Of its parameters, for a key.
        tables: It reads.
    """

    statement: Select[Any]
    sql: str
    values: Mapping[str, Any]
    tables: frozenset[str]


class Bucket(ColumnElement[datetime]):
    """
    The start of the bucket that a time is in; see `time_buckets`.

    Args:
        moment: The time; it is there several times.
        granularity: How long buckets are.
        scope: Has their zone; `None` for dates, which are of every zone.
    """

    inherit_cache = True
    type = DateTime()
    _traverse_internals = [
        ("moment", InternalTraversal.dp_clauseelement),
        ("granularity", InternalTraversal.dp_string),
        ("zone", InternalTraversal.dp_plain_obj),
    ]

    def __init__(self, moment: Any, granularity: Any, zone: Any) -> None:
        self.moment = moment
        self.granularity = granularity
        self.zone = zone


@compiles(Bucket)
def _compile_bucket(element: Any, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.moment, **kw)
    if element.zone is None:
        return f"CAST(date_trunc('{element.granularity}', {moment}) AS TIMESTAMP)"
    return bucket(moment, element.granularity, element.zone)


class _Reader(DuckDBCompiler):
    """
    A compiler that notes which tables are read; everything, where SQL hides that.
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.read: set[str] = set()
        super().__init__(_DIALECT, statement, linting=COLLECT_CARTESIAN_PRODUCTS)

    def visit_table(self, table: Any, *args: Any, **kw: Any) -> Any:
        """
        Note it, where it stands in a FROM or a JOIN.
        """
        self.read.add(table.name)
        return super().visit_table(table, *args, **kw)  # type: ignore[no-untyped-call]

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> Any:
        """
        Note one that is not the same each time.
        """
        if func.name.lower() in UNSTEADY:
            self.read.add(EVERYTHING)
        return super().visit_function(func, *args, **kw)

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> Any:
        """
        Note SQL that stands where a column does.
        """
        if column.is_literal and not _PLAIN.fullmatch(column.name):
            self.read.add(EVERYTHING)
        return super().visit_column(column, *args, **kw)

    def visit_textclause(self, textclause: Any, *args: Any, **kw: Any) -> Any:
        """
        Note SQL of unknown effect.
        """
        if not _PLAIN.fullmatch(textclause.text):
            self.read.add(EVERYTHING)
        return super().visit_textclause(textclause, *args, **kw)  # type: ignore[no-untyped-call]


_DIALECT = DuckDBDialect_async()


def prepared(statement: Select[Any]) -> Prepared:
    """
    A statement with what is in it.
    """
    compiled = _Reader(statement)
    values = {name: hashable(value) for name, value in compiled.params.items()}
    return Prepared(statement, str(compiled), values, frozenset(compiled.read))


# --- rows -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """
    The rows that a time series is of.
    """

    terms: Terms
    scope: Scope

    def select(self, *columns: Any, asked: Any) -> Select[Any]:
        """
        A query for columns of the rows whose time is asked for.
        """
        found = select(*columns).select_from(self.terms.entity)
        for relationship in self.terms.join:
            try:
                found = found.join(relationship)
            except SQLAlchemyError as error:
                raise InvalidQuestionError(
                    str(error), argument="join", value=relationship
                ) from error
        conditions = (*visible(self.terms.entity), *self._projects())
        return found.where(*conditions, *self.terms.where, *asked)

    def bucket(self, granularity: Any) -> ColumnElement[datetime]:
        """
        The bucket that the time is in.
        """
        time = self.terms.time
        is_date = kind_of(time) is SqlDate
        return Bucket(time, granularity, None if is_date else self.scope.zone)

    def period(
        self, since: datetime | None, until: datetime | None
    ) -> list[ColumnElement[bool]]:
        """
        That the time is in a period; what has none is in no bucket.
        """
        time = self.terms.time
        found = [] if since is None else [time >= self._bound(since)]
        if until is not None:
            found.append(time < self._bound(until))
        return found if len(found) == 2 else [*found, func.isfinite(time)]

    def _bound(self, moment: datetime) -> Any:
        """
        A moment as the column has it; a date is the midnight it begins with.
        """
        if kind_of(self.terms.time) is SqlDate:
            local = moment.astimezone(self.scope.zone).replace(tzinfo=None)
            instant = timedelta(microseconds=1)
            return (local - instant).date() + timedelta(days=1)
        moment = moment.astimezone(UTC)
        return moment if has_zone(self.terms.time) else moment.replace(tzinfo=None)

    def _projects(self) -> list[ColumnElement[bool]]:
        scope, found = self.scope, []
        if scope.projects is not None:
            found.append(self._project("projects").in_(scope.projects))
        if scope.statuses is not None:
            known = select(Project.id).where(Project.status.in_(scope.statuses))
            found.append(self._project("statuses").in_(known))
        return found

    def _project(self, argument: str) -> Any:
        entity, model = self.terms.entity, self.terms.time.class_
        name = "id" if issubclass(model, Project) else "project_id"
        column = getattr(entity, name, None)
        if column is None:
            raise InvalidQuestionError(
                f"{model.__name__} has no project_id",
                argument=argument, value=getattr(self.scope, argument),
            )  # fmt: skip
        return column


def source_of(terms: Terms, scope: Scope) -> Source:
    """
    The rows, if they make sense.
    """
    terms = terms.checked()
    if kind_of(terms.time) is SqlDate and scope.granularity == "hour":
        raise InvalidQuestionError(
            "dates have no hours", argument="granularity", value=scope.granularity
        )
    return Source(terms, scope)


def require_joined(statement: Select[Any]) -> None:
    """
    Raise where each row of one table would be taken with each of another.
    """
    linter: Any = _Reader(statement).from_linter
    alone, _ = linter.lint()
    if alone:
        names = ", ".join(sorted(str(linter.froms[each]) for each in alone))
        raise InvalidQuestionError(
            f"nothing says which rows of {names} belong to which of the others; "
            "join a relationship, or say so in `where`",
            argument="join", value=names,
        )  # fmt: skip
