"""
The repository of projects.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Float, case, cast, exists, func, literal, select

from project_architect_db.base import utc_now
from project_architect_db.domain.activity import RecordingRepository
from project_architect_db.domain.arguments import (
    require_fitting,
    require_number,
    require_text,
)
from project_architect_db.domain.models import (
    Activity,
    Conversation,
    Document,
    Project,
    Repository,
)
from project_architect_db.domain.project_metrics import ProjectMetrics, read_metrics
from project_architect_db.domain.schemas import ProjectCreate, ProjectUpdate
from project_architect_db.domain.stages import duration
from project_architect_db.domain.vocabulary import (
    BUILD_STATUSES,
    PHASES,
    PROJECT_STATUSES,
)
from project_architect_db.orm.refusals import each_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement

SIMILAR = 0.85
"""From which Jaro-Winkler similarity on (0 to 1) two words are one, misspelt."""


@dataclass(frozen=True, slots=True)
class StatusOverview:
    """
    The projects of one status.

    Attributes:
        status: Which.
        projects: Those of this page, the latest changed first.
        total: How many have it.
        share: Of all projects, from 0 to 1.
        average_age: Since they were created.
        average_time_in_status: Since they last got there, as far as activity tells.
    """

    status: str
    projects: list[Project]
    total: int
    share: float
    average_age: timedelta | None
    average_time_in_status: timedelta | None


@dataclass(frozen=True, slots=True)
class NameMatch:
    """
    A project whose name matches, and how well, from 0 to 1.
    """

    project: Project
    score: float


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """
    A project, and how much there is of it.
    """

    id: int
    name: str
    status: str
    conversations: int
    documents: int
    repositories: int
    last_activity_at: datetime | None


class ProjectRepository(RecordingRepository[Project]):
    """
    Projects, and questions that reach over all that is in them.

    Example:
        >>> async with DatabaseEngine(":memory:") as engine:
        ...     await engine.create_all()
        ...     async with engine.transaction() as session:
        ...         projects = ProjectRepository(session)
        ...         made = await projects.create({"name": "Café", "project_idea": "x"})
        ...         made = await projects.set_status(made.id, "active")
        ...         (match,) = await projects.search_by_name("cafe")
        ...         print(match.project.name, match.project.status)
        Café active
    """

    create_schema = ProjectCreate
    update_schema = ProjectUpdate
    watched = {"status": "status_changed"}
    vocabularies = {"status": PROJECT_STATUSES}

    # --- status -------------------------------------------------------------------

    async def set_status(self, id: int, status: str) -> Project:
        """
        Have a project go on to another status.
        """
        return await self.update(id, {"status": status})

    async def bulk_set_status(self, ids: Iterable[int], status: str) -> int:
        """
        Have many projects go on to another status, and return how many there were.
        """
        each = each_of(self._fields, ids)
        return await self.bulk_update([{"id": id_, "status": status} for id_ in each])

    async def get_by_status(
        self, status: str, *, limit: int = 100, offset: int = 0
    ) -> StatusOverview:
        """
        The projects of a status, and what is to be said of all of them.

        Raises:
            InvalidDataError: There is no such status, or no such page.
        """
        self._require_words(status=status)
        query = self.base_query().filter(status=status).order_by("-updated_at", "id")
        query = query.limit(limit).offset(offset)
        changed = (
            select(func.max(Activity.occurred_at).label("at"))
            .where(
                Activity.entity == "project",
                Activity.action == "status_changed",
                Activity.entity_id == Project.id,
                Activity.payload["to"].as_string() == status,
            )
            .scalar_subquery()
        )
        has_it = Project.status == status
        total, everything, age, stay = (
            await self.session.execute(
                select(
                    func.count().filter(has_it),
                    func.count(),
                    func.avg(_seconds_since(Project.created_at)).filter(has_it),
                    func.avg(
                        _seconds_since(func.coalesce(changed, Project.created_at))
                    ).filter(has_it),
                ).select_from(Project)
            )
        ).one()
        return StatusOverview(
            status, await query.all(), total,
            total / everything if everything else 0.0, duration(age), duration(stay),
        )  # fmt: skip

    # --- finding ------------------------------------------------------------------

    async def search_by_name(self, text: str, *, limit: int = 20) -> list[NameMatch]:
        """
        Projects by words of their names, the best matches first.

        Case and accents do not matter, a word may be the beginning or the middle of
        one, and may be misspelt by a letter or two.

        Raises:
            InvalidDataError: It is no text, or the limit no number.
        """
        words = require_text(text, model="Project", field="name").split()
        require_number(limit, model="Project", field="limit")
        if not words:
            return []
        name = func.lower(func.strip_accents(Project.name))
        scores = [_likeness(name, word) for word in words[:10]]
        score = sum(scores[1:], scores[0]) / len(scores)
        found = await self.session.execute(
            self.base_query()
            .statement.add_columns(score.label("score"))
            .where(*(each > 0 for each in scores))
            .order_by(score.desc(), func.length(Project.name), Project.id)
            .limit(limit)
        )
        return [NameMatch(project, found_score) for project, found_score in found]

    async def find(
        self, *, language: str | None = None, phase: str | None = None,
        build_status: str | None = None, idle_since: datetime | None = None,
        limit: int = 100, **filters: Any,
    ) -> list[Project]:  # fmt: skip
        """
        Projects by what is in them.

        Args:
            language: Some document is in it, as in ``"Python"``.
            phase: Some conversation is in it.
            build_status: Some repository has it.
            idle_since: Nothing has happened since.
            limit: The most of them.
            filters: Lookups on the projects themselves.

        Raises:
            InvalidDataError: There is no such phase or status, or it is no such value.
        """
        self._require_words(**filters)
        if language is not None:
            require_text(language, model="Document", field="language")
        if phase is not None:
            PHASES.require(phase, model="Conversation", field="phase")
        if build_status is not None:
            BUILD_STATUSES.require(
                build_status, model="Repository", field="build_status"
            )
        conditions: list[ColumnElement[bool]] = [
            exists().where(model.project_id == Project.id, column == value)
            for model, column, value in (
                (Document, Document.language, language),
                (Conversation, Conversation.phase, phase),
                (Repository, Repository.build_status, build_status),
            )
            if value is not None
        ]
        if idle_since is not None:
            since = require_fitting(
                idle_since, Activity.occurred_at, model="Project", field="idle_since"
            )
            happened = Activity.project_id == Project.id, Activity.occurred_at >= since
            conditions.append(~exists().where(*happened))
        query = self.base_query().filter(*conditions, **filters)
        return await query.order_by("id").limit(limit).all()

    # --- everything of one --------------------------------------------------------

    async def get_with_everything(self, id: int) -> Project | None:
        """
        A project with its conversations, documents, repositories and activity.

        One query for each of them, however many there are.
        """
        query = self.base_query().load(
            "conversations", "documents", "repositories", "activity"
        )
        return await query.filter(id=id).one_or_none()

    async def metrics(self, id: int) -> ProjectMetrics:
        """
        A project in numbers.

        Raises:
            NotFoundError: There is no such project.
        """
        project = await self.get_one(id)
        return await read_metrics(self.session, project)

    async def summaries(
        self, *, limit: int = 100, **filters: Any
    ) -> list[ProjectSummary]:
        """
        One row for each project with what it has, in one query.

        Raises:
            InvalidDataError: There is no such status, or it is no such value.
        """
        self._require_words(**filters)
        query = self.base_query().filter(**filters).order_by("id").limit(limit)
        chosen = query.statement.with_only_columns(
            Project.id, Project.name, Project.status
        ).subquery()
        counts = [
            select(model.project_id, func.count().label("n"))
            .where(model.project_id.in_(select(chosen.c.id)))
            .group_by(model.project_id)
            .subquery()
            for model in (Conversation, Document, Repository)
        ]
        last = (
            select(Activity.project_id, func.max(Activity.occurred_at).label("at"))
            .where(Activity.project_id.in_(select(chosen.c.id)))
            .group_by(Activity.project_id)
            .subquery()
        )
        statement: Any = select(
            *chosen.c, *(func.coalesce(count.c.n, 0) for count in counts), last.c.at
        ).select_from(chosen)
        for joined in (*counts, last):
            statement = statement.outerjoin(joined, joined.c.project_id == chosen.c.id)
        rows = await self.session.execute(statement.order_by(chosen.c.id))
        return [ProjectSummary(*row) for row in rows]


def _seconds_since(moment: Any) -> ColumnElement[float]:
    return cast(func.epoch(literal(utc_now())) - func.epoch(moment), Float)


def _likeness(name: ColumnElement[str], word: str) -> ColumnElement[float]:
    """
    How well a name has a word, from 0 to 1.

    The words of a name are compared with Jaro-Winkler similarity
    (https://duckdb.org/docs/stable/sql/functions/text).
    """
    plain = func.lower(func.strip_accents(literal(word)))
    words = func.string_split_regex(name, r"[^\p{L}\p{N}]+")
    each = func.unnest(words).table_valued("word").render_derived("words")
    alike = func.jaro_winkler_similarity(each.c.word, plain)
    closest = select(func.max(alike)).select_from(each).scalar_subquery()
    return case(
        (name == plain, 1.0),
        (func.list_contains(words, plain), 0.95),
        (func.starts_with(name, plain), 0.9),
        (func.contains(name, plain), 0.8),
        (closest >= SIMILAR, closest * 0.75),
        else_=0.0,
    )
