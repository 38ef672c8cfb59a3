"""
Where questions are asked.
"""

from __future__ import annotations

from project_architect_db.analytics.answering import Answering
from project_architect_db.analytics.builds import BuildQuestions
from project_architect_db.analytics.conversations import ConversationQuestions
from project_architect_db.analytics.cross_entity import CrossEntityQuestions
from project_architect_db.analytics.dashboard import DashboardQuestions
from project_architect_db.analytics.documents import DocumentQuestions
from project_architect_db.analytics.messages import MessageQuestions
from project_architect_db.analytics.projects import ProjectQuestions
from project_architect_db.analytics.repositories import RepositoryQuestions
from project_architect_db.analytics.time_series import TimeSeriesQuestions


class AnalyticsRepository(  # each brings the questions of its module
    ProjectQuestions, ConversationQuestions, MessageQuestions, DocumentQuestions,
    RepositoryQuestions, BuildQuestions, CrossEntityQuestions, TimeSeriesQuestions,
    DashboardQuestions, Answering,
):  # fmt: skip
    """
    Questions over projects and all that is in them, answered by the database.

    Each method returns a `Question`: await it for a report. An answer is kept until a
    commit has written one of the tables it was made from, and those who ask for the
    same at the same time wait for one computation. So make one of these for your
    application, beside its engine.

    A question reads one snapshot of what is committed, never waits for writers, and
    stops when its task is cancelled. How much memory all of them may take is
    `DatabaseSettings.memory_limit`; what needs more is spilled to disk.

    Args:
        engine: Of the database.
        timeout: Seconds after which a question is stopped; `None` for never.
        at_once: How many are asked of the database at once; others wait.
        cache: Where answers are kept.

    Example:
        >>> from datetime import date
        >>> from project_architect_db.testing import seed, temporary_database
        >>> async with temporary_database() as engine:
        ...     seeded = await seed(engine, rows=5_000)
        ...     analytics = AnalyticsRepository(engine)
        ...     report = await analytics.status_distribution(since=date(2025, 1, 1))
        ...     again = await analytics.status_distribution(since=date(2025, 1, 1))
        >>> print(analytics.statistics.hits, again is report)
        1 True
    """
