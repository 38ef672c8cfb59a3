"""
The database of an application: engine, sessions, monitoring.
"""

from project_architect_db.engine.backup import Backup, TableContent
from project_architect_db.engine.database import DatabaseEngine
from project_architect_db.engine.event_loop import run
from project_architect_db.engine.monitor import (
    Health,
    QueryEvent,
    QueryHook,
    RunningQuery,
)
from project_architect_db.engine.restore import Restored, restore, verify_backup
from project_architect_db.engine.session import ArchitectSession
from project_architect_db.engine.session_manager import SessionManager

__all__ = [
    "ArchitectSession",
    "Backup",
    "DatabaseEngine",
    "Health",
    "QueryEvent",
    "QueryHook",
    "Restored",
    "RunningQuery",
    "SessionManager",
    "TableContent",
    "restore",
    "run",
    "verify_backup",
]
