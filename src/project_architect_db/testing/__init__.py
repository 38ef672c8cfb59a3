"""
What tests of an app need: a database of their own, and rows to put into it.
"""

from project_architect_db.testing.databases import temporary_database
from project_architect_db.testing.fixtures import load_rows
from project_architect_db.testing.rows import RowFactory
from project_architect_db.testing.seeding import Seeded, seed

__all__ = ["RowFactory", "Seeded", "load_rows", "seed", "temporary_database"]
