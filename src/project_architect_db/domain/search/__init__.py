"""
Full-text search in documents: ranked, highlighted, and never out of date.
"""

from project_architect_db.domain.search.highlights import Highlighting, Match
from project_architect_db.domain.search.ranking import Ranking
from project_architect_db.domain.search.search import DocumentSearch, SearchResult

__all__ = ["DocumentSearch", "Highlighting", "Match", "Ranking", "SearchResult"]
