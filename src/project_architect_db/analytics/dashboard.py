"""
Everything that a dashboard shows, from one snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from dataclasses import field as part_of
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.checks import require_count
from project_architect_db.analytics.growing import GrowingQuery
from project_architect_db.analytics.present import of_the_present, present
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

DAYS = 30
"""Of the period, unless told otherwise."""

_TABLES = frozenset(
    ("projects", "conversations", "documents", "repositories", "activity")
)


class StatusCount(NamedTuple):
    """
    How many projects have a status.
    """

    status: str
    projects: int


class PhaseCount(NamedTuple):
    """
    How many conversations are in a phase.
    """

    phase: str
    conversations: int


class KindTotal(NamedTuple):
    """
    How many documents are of a kind, and how many bytes they have together.
    """

    kind: str
    documents: int
    bytes: int


class RepositoryTotal(NamedTuple):
    """
    How many repositories have a build status, and how many commits.
    """

    build_status: str
    repositories: int
    commits: int


class EventCount(NamedTuple):
    """
    How often something happened in a bucket.
    """

    bucket: datetime
    entity: str
    action: str
    events: int


class BuildCount(NamedTuple):
    """
    How many builds of a bucket passed, and how many failed.
    """

    bucket: datetime
    passed: int
    failed: int


class BusyProject(NamedTuple):
    """
    How much happened in a project.
    """

    project_id: int
    events: int


class BusyPerson(NamedTuple):
    """
    How much somebody did.
    """

    actor: str
    events: int


class RecentEvent(NamedTuple):
    """
    What happened last.
    """

    occurred_at: datetime
    entity: str
    entity_id: int | None
    project_id: int | None
    action: str
    actor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """
    What a dashboard shows; all of it is from one snapshot.

    Attributes:
        at: The present that it is about.
        statuses: Projects by status.
        phases: Conversations by phase.
        kinds: Documents by kind.
        repositories: Repositories by build status.
        events: What happened in the period, by bucket.
        builds: How builds went in the period, by bucket.
        projects: The busiest projects of the period.
        people: The busiest people of the period.
        recent: The last events of the period, the latest first.
    """

    at: datetime = part_of(compare=False)  # that time goes by is no news
    statuses: Report[StatusCount]
    phases: Report[PhaseCount]
    kinds: Report[KindTotal]
    repositories: Report[RepositoryTotal]
    events: Report[EventCount]
    builds: Report[BuildCount]
    projects: Report[BusyProject]
    people: Report[BusyPerson]
    recent: Report[RecentEvent]

    @property
    def totals(self) -> dict[str, int]:
        """
        How many of everything there are; events and builds in the period.
        """
        return {
            "projects": sum(row.projects for row in self.statuses),
            "conversations": sum(row.conversations for row in self.phases),
            "documents": sum(row.documents for row in self.kinds),
            "bytes": sum(row.bytes for row in self.kinds),
            "repositories": sum(row.repositories for row in self.repositories),
            "commits": sum(row.commits for row in self.repositories),
            "events": sum(row.events for row in self.events),
            "builds": sum(row.passed + row.failed for row in self.builds),
        }

    def reports(self) -> list[Report[Any]]:
        """
        All of its reports.
        """
        values = [getattr(self, part.name) for part in fields(self)]
        return [value for value in values if isinstance(value, Report)]

    def to_dict(self) -> dict[str, Any]:
        """
        One object for a JSON API.
        """
        reports = {report.name: report.to_dict() for report in self.reports()}
        return {"at": self.at.isoformat(), "totals": self.totals, **reports}

    def __len__(self) -> int:
        """
        The rows of all reports.
        """
        return sum(len(report) for report in self.reports())


class DashboardQuestions(Asker):
    """
    What a dashboard asks.
    """

    @of_the_present
    def dashboard(
        self, *, at: datetime | None = None, limit: int = 10, **filters: Unpack[Filters]
    ) -> Question[Dashboard]:
        """
        Everything that a dashboard shows: one call, one snapshot, one answer.

        Four scans of the period's activity, each of two or three of its columns, and
        one of each other table. Of a report whose tables nobody has written, the last
        one is taken; and what has been added to the activity since is added to its
        sums.

        Args:
            at: The present; by default the end of this minute.
            limit: How many projects, people and recent events.
            filters: The period is by default the last 30 days.
        """
        now, limit = present(at), require_count("limit", limit, most=1_000)
        scope = Scope.of(filters)
        if scope.since is None and scope.until is None:
            scope = replace(scope, since=scope.start(now - timedelta(days=DAYS)))

        async def compute(session: AsyncSession) -> Dashboard:
            queries = [*_totals(scope), *_activity(scope, limit)]
            reports = {query.name: await self.part(session, query) for query in queries}
            return Dashboard(at=scope.moment(now), **reports)

        return Question(
            asker=self, name="dashboard", compute=compute,
            key=("dashboard", now, limit, scope), tables=_TABLES,
        )  # fmt: skip


def _totals(scope: Scope) -> list[Query[Any]]:
    """
    How many there are of what is not told of by time.
    """
    where = scope.where(project="project_id")
    return [
        Query(
            name="statuses", title="Projects by status", row=StatusCount,
            tables=("projects",), scope=scope,
            sql="SELECT status, count(*) FROM projects "
            f"WHERE {scope.where(project='id')} "
            "GROUP BY status ORDER BY count(*) DESC, status",
            view=view("bar", x=field("projects", "Q"), y=_sorted("status")),
        ),
        Query(
            name="phases", title="Conversations by phase", row=PhaseCount,
            tables=("conversations",), scope=scope,
            sql=f"SELECT phase, count(*) FROM conversations WHERE {where} "
            "GROUP BY phase ORDER BY count(*) DESC, phase",
            view=view("bar", x=field("conversations", "Q"), y=_sorted("phase")),
        ),
        Query(
            name="kinds", title="Documents by kind", row=KindTotal,
            tables=("documents",), scope=scope,
            sql="SELECT kind, count(*), sum(size)::BIGINT FROM documents "
            f"WHERE {where} GROUP BY kind ORDER BY count(*) DESC, kind",
            view=view("bar", x=field("documents", "Q"), y=_sorted("kind")),
        ),
        Query(
            name="repositories", title="Repositories by build status",
            row=RepositoryTotal, tables=("repositories",), scope=scope,
            sql="SELECT build_status, count(*), sum(commit_count)::BIGINT "
            f"FROM repositories WHERE {where} "
            "GROUP BY build_status ORDER BY count(*) DESC, build_status",
            view=view("bar", x=field("repositories", "Q"), y=_sorted("build_status")),
        ),
    ]  # fmt: skip


def _activity(scope: Scope, limit: int) -> list[Query[Any]]:
    """
    What happened in the period.
    """
    where = scope.where(time="occurred_at", project="project_id")
    new = f"FROM activity WHERE id > :after AND {where}"
    bucket = scope.bucket("occurred_at")
    tables = ("activity",)
    return [
        GrowingQuery(
            name="events", title="What happened", row=EventCount, grows="activity",
            tables=tables, scope=scope, finish=sorted,
            sql=f"SELECT {bucket}, entity, action, count(*) {new} "
            "GROUP BY ALL ORDER BY ALL",
            view=view(
                "bar", x=field("bucket", "T", ""), y=field("events", "Q"),
                color=field("entity", "N"), tooltip=field("action", "N"),
            ),
        ),
        GrowingQuery(
            name="builds", title="Builds that passed and failed", row=BuildCount,
            grows="activity", adds=2, tables=tables, scope=scope, finish=sorted,
            sql=f"""
                SELECT bucket, count(*) FILTER (status = 'passed'),
                    count(*) FILTER (status = 'failed')
                FROM (
                    SELECT {bucket} AS bucket, payload ->> '$.status' AS status
                    {new} AND entity = 'repository' AND action = 'build'
                ) GROUP BY bucket ORDER BY bucket
            """,
            view=view(
                "bar", x=field("bucket", "T", ""), y=field("passed", "Q"),
                tooltip=field("failed", "Q"),
            ),
        ),
        GrowingQuery(
            name="projects", title="The busiest projects", row=BusyProject,
            grows="activity", tables=tables, scope=scope,
            finish=lambda rows: _busiest(rows, limit), values={"limit": limit},
            sql=f"SELECT project_id, count(*) {new} AND project_id IS NOT NULL "
            "GROUP BY project_id",
            view=view("bar", x=field("events", "Q"), y=_sorted("project_id")),
        ),
        GrowingQuery(
            name="people", title="The busiest people", row=BusyPerson,
            grows="activity", tables=tables, scope=scope,
            finish=lambda rows: _busiest(rows, limit), values={"limit": limit},
            sql=f"SELECT actor, count(*) {new} AND actor IS NOT NULL GROUP BY actor",
            view=view("bar", x=field("events", "Q"), y=_sorted("actor")),
        ),
        Query(
            name="recent", title="What happened last", row=RecentEvent,
            tables=tables, scope=scope, values={"limit": limit},
            sql="SELECT occurred_at, entity, entity_id, project_id, action, actor "
            f"FROM activity WHERE {where} "
            "ORDER BY occurred_at DESC, id DESC LIMIT :limit",
            view=view(
                "tick", x=field("occurred_at", "T", ""), y=field("action", "N")
            ),
        ),
    ]  # fmt: skip


def _sorted(name: str) -> Any:
    return field(name, "N", sort="-x")


def _busiest(rows: list[Any], limit: int) -> list[Any]:
    return sorted(rows, key=lambda row: (-row.events, row[0]))[:limit]
