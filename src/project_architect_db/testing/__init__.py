"""
What tests of an app need: a database of their own, and rows to put into it.
"""

from project_architect_db.testing.databases import temporary_database
from project_architect_db.testing.rows import RowFactory

__all__ = ["RowFactory", "temporary_database"]
