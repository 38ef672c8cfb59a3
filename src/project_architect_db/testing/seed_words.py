"""
The words that seeded rows are made of, and how often each of them comes up.
"""

from __future__ import annotations

LISTS: dict[str, tuple[str, ...]] = {
    "first": (
        "Ada", "Alan", "Anita", "Barbara", "Bjarne", "Carol", "Dennis", "Donald",
        "Edsger", "Evelyn", "Frances", "Fran", "Grace", "Guido", "Hedy", "Ivan", "Jean",
        "John", "Joan", "Katherine", "Ken", "Kristen", "Leslie", "Lynn", "Margaret",
        "Mary", "Niklaus", "Radia", "Shafi", "Tony",
    ),
    "last": (
        "Abel", "Becker", "Chen", "Diaz", "Eriksen", "Fischer", "Garcia", "Haddad",
        "Ito", "Jansen", "Kowalski", "Larsen", "Moreau", "Nakamura", "Okafor", "Patel",
        "Quinn", "Rossi", "Silva", "Tanaka", "Ueda", "Varga", "Weber", "Xu", "Yilmaz",
        "Zhang",
    ),
    "adjective": (
        "Amber", "Bright", "Calm", "Daring", "Eager", "Fast", "Gentle", "Hidden",
        "Iron", "Jolly", "Keen", "Lucid", "Misty", "Noble", "Open", "Polar", "Quiet",
        "Rapid", "Silver", "Tidy", "Urban", "Vivid", "Warm", "Young",
    ),
    "noun": (
        "Anchor", "Atlas", "Beacon", "Bridge", "Canvas", "Compass", "Delta", "Engine",
        "Falcon", "Garden", "Harbor", "Island", "Journal", "Lantern", "Ledger",
        "Meadow", "Orbit", "Pilot", "Quarry", "River", "Signal", "Tower", "Voyage",
        "Workshop",
    ),
    "goal": (
        "book rooms without a phone call", "see what a delivery costs before it leaves",
        "plan shifts that people can live with", "find a document by what is in it",
        "bill by the minute", "measure how warm a house really is",
        "share tools among neighbours", "know which train will be late",
        "learn words while waiting", "keep an archive of old maps",
        "run a library with two people", "sell what the garden gives",
    ),
    "kind": ("code",) * 8 + ("file",) * 3 + ("text",) * 2,
    "prose": (
        "specification", "requirements", "requirements", "design", "design", "diagram",
        "note", "note", "note", "report", "text",
    ),
    "language": (
        ("Python",) * 14 + ("TypeScript",) * 8 + ("JavaScript",) * 4 + ("SQL",) * 3
        + ("YAML",) * 3 + ("HTML",) * 2 + ("Go",) * 2 + ("Rust",) * 2 + ("Shell",)
        + ("CSS",)
    ),
    "folder": ("src", "src", "src", "tests", "tests", "docs", "scripts", "deploy"),
    "topic": (
        "accounts", "billing", "calendar", "cache", "events", "exports", "forms",
        "imports", "invoices", "login", "mail", "maps", "messages", "orders", "payment",
        "queue", "reports", "roles", "search", "sessions", "settings", "shipping",
        "stock", "tags",
    ),
    "verb": ("Add", "Change", "Explain", "Fix", "Improve", "Remove", "Rename", "Test"),
    "question": (
        "Where do we keep the state?", "What happens when two people save at once?",
        "Can this wait until the next release?", "Which of the two designs is cheaper?",
        "How many rows will there be in a year?", "Who is going to use this every day?",
        "Do we need a queue, or is a table enough?", "What did the last test show?",
    ),
    "answer": (
        "A table is enough; the queue can come when there is a second process.",
        "The second one to save is told, and sees what the first one wrote.",
        "The cheaper design is the one with fewer moving parts.",
        "About ten million a year, most of them events that nobody changes.",
        "It can wait, as long as the export keeps its column names.",
        "The test showed that reading is fast, so we write in batches.",
        "Two people every day, and everybody at the end of the month.",
    ),
    "line": (
        "def load(self, key):\n    return self.rows[key]\n",
        "for row in rows:\n    total += row.amount\n",
        "if not rows:\n    raise LookupError(key)\n",
        "with self.lock:\n    self.queue.append(item)\n",
        "# Dates are in UTC, whatever the browser says.\n",
        "class Order:\n    lines: list[Line]\n",
        "assert expected == actual\n",
        "return sorted(found, key=lambda item: item.at)\n",
    ),
    "sentence": (
        "Every order has a number that never changes.\n",
        "The report is made at night, when nobody waits for it.\n",
        "A user without a role sees the start page, and nothing else.\n",
        "Prices are in cents, so that nothing is rounded twice.\n",
        "The map shows what is within ten minutes on foot.\n",
        "Old rows are kept for ten years, as the law requires.\n",
        "An import that fails leaves everything as it was.\n",
        "The search finds a word in any of its forms.\n",
        "What is not paid after 30 days is sent a reminder.\n",
        "The queue is empty before a release begins.\n",
    ),
    "job": ("tests", "tests", "tests", "build", "lint", "deploy"),
    "phase": (
        "discovery", "requirements", "design", "implementation", "testing",
        "deployment", "maintenance",
    ),
}  # fmt: skip
"""A word that is there twice comes up twice as often."""

SUFFIXES = {
    "CSS": ".css", "Go": ".go", "HTML": ".html", "JavaScript": ".js", "Python": ".py",
    "Rust": ".rs", "SQL": ".sql", "Shell": ".sh", "TypeScript": ".ts", "YAML": ".yml",
}  # fmt: skip
"""Of the files in a language."""
