"""
Projects, conversations, documents and code repositories.
"""

# Whoever knows the documents keeps their search index in step.
import project_architect_db.domain.search  # noqa: F401
