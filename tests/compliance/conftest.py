"""
SQLAlchemy's test plugin, told about our dialect and DuckDB's limits.
"""

import provision
import pytest
from limits import limit_of
from sqlalchemy.testing.plugin import pytestplugin
from sqlalchemy.testing.plugin.pytestplugin import *


def pytest_collection_modifyitems(session, config, items):
    pytestplugin.pytest_collection_modifyitems(session, config, items)
    for item in items:
        if reason := limit_of(item.nodeid):
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
