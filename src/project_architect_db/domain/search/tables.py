"""
The tables of the search index: an inverted file with positions.

They are ordinary tables, so the index is written, committed, rolled back, backed up
and read like all other data. Nothing refers to them by foreign key.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, String, Table

from project_architect_db.base import Base

postings = Table(
    "document_postings",
    Base.metadata,
    Column("word", BigInteger, nullable=False),
    Column("document_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
)
"""
Where each word occurs: a row for each occurrence.

`word` is the hash of the word as it is written. Positions count from 1 in the content;
in the title they count down to -1, its last word, so no phrase leads from one into the
other. Rows written together are in the order of their words, so a search reads few
of them. There is no index of DuckDB on it, which would cost more at each write.
"""

vocabulary = Table(
    "document_words",
    Base.metadata,
    Column("word", BigInteger, nullable=False),
    Column("spelling", String, nullable=False),
    Column("form", String, nullable=False),
    Column("term", String, nullable=False),
)
"""
What each word is found by; see `tokens`. A row for each of its forms.

Words stay when their last document is gone, until `reindex`.
"""

lengths = Table(
    "document_lengths",
    Base.metadata,
    Column("document_id", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("hash", BigInteger, nullable=False),
)
"""
How many words each document has, and the hash of the text they were taken from.
"""
