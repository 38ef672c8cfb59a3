"""
The database of an application: engine, sessions, monitoring.
"""

from project_architect_db.engine.analysis import Analysis, analyze
from project_architect_db.engine.backup import Backup, TableContent
from project_architect_db.engine.compaction import Compacted, compact
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.event_loop import run
from project_architect_db.engine.findings import Finding, findings
from project_architect_db.engine.integrity import Integrity, check_integrity
from project_architect_db.engine.integrity_checks import Problem
from project_architect_db.engine.monitor import (
    Health,
    QueryEvent,
    QueryHook,
    RunningQuery,
)
from project_architect_db.engine.portable import Exported, export_tables
from project_architect_db.engine.query_plan import PlanStep, explain_query
from project_architect_db.engine.restore import Restored, restore, verify_backup
from project_architect_db.engine.session import ArchitectSession
from project_architect_db.engine.session_manager import SessionManager
from project_architect_db.engine.slow_queries import SlowQuery, read_slow_queries

__all__ = [
    "Analysis",
    "ArchitectSession",
    "Backup",
    "Compacted",
    "DatabaseEngine",
    "Exported",
    "Finding",
    "Health",
    "Integrity",
    "PlanStep",
    "Problem",
    "QueryEvent",
    "QueryHook",
    "Restored",
    "RunningQuery",
    "SessionManager",
    "SlowQuery",
    "TableContent",
    "analyze",
    "check_integrity",
    "compact",
    "explain_query",
    "export_tables",
    "findings",
    "read_slow_queries",
    "restore",
    "run",
    "verify_backup",
]
