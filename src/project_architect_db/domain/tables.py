"""
The tables of this library's own models, among all that `Base` may have.
"""

from __future__ import annotations

from project_architect_db.domain.models import (
    Activity,
    Conversation,
    Document,
    Project,
    Repository,
)
from project_architect_db.domain.search.tables import lengths, postings, vocabulary

OWN_TABLES = frozenset(
    {
        *(
            model.__tablename__
            for model in (Activity, Conversation, Document, Project, Repository)
        ),
        *(table.name for table in (lengths, postings, vocabulary)),
    }
)
"""Their names; what the migrations of this library look after."""
