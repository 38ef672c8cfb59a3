"""
SQLAlchemy's compliance suite, against ``duckdb+async://``.
"""

from sqlalchemy.testing.suite import *
from sqlalchemy.testing.suite import ServerSideCursorsTest as _ServerSideCursorsTest


class ServerSideCursorsTest(_ServerSideCursorsTest):
    """
    The suite asks drivers it knows by name whether a cursor is on the server.
    """

    def _is_server_side(self, cursor):
        return cursor.server_side
