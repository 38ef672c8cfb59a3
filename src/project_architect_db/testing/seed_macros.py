"""
What the statements of seeding call: draws, words, people and working hours.

Each draw is a hash of the row's number, of what it is for, and of the seed: it needs no
other row, so that all rows of a batch are made at once, and always the same ones.
"""

from __future__ import annotations

from project_architect_db.testing.seed_words import LISTS, SUFFIXES

WEEK = 7 * 86_400
MONDAY = 4 * 86_400
"""The first Monday after 1970 began, in seconds."""

_DRAWS = {
    "seed_draw(key, salt)": "(hash(key, salt, {seed}) >> 11) / 9007199254740992.0",
    "seed_pick(list, draw)": "list[1 + floor(draw * len(list))::BIGINT]",
    # Few large ones and many small ones, 1 on average.
    "seed_skew(draw)": "0.4 + 3 * pow(draw, 4)",
    "seed_count(mean, draw)": "floor(mean + draw)::BIGINT",
    "seed_sha(key)": "sha1(key::VARCHAR)",
}

# A steady time becomes one at which people work, and what was earlier stays earlier:
# 95 % of a week is from Monday to Friday, 92 % of a day from 8 to 18 o'clock.
_HOURS = {
    "seed_hour(day)": """CASE
        WHEN day < 0.04 THEN day / 0.04 * 8
        WHEN day < 0.46 THEN 8 + (day - 0.04) / 0.42 * 4
        WHEN day < 0.52 THEN 12 + (day - 0.46) / 0.06
        WHEN day < 0.92 THEN 13 + (day - 0.52) / 0.40 * 5
        ELSE 18 + (day - 0.92) / 0.08 * 6 END""",
    "seed_hours(week)": """CASE
        WHEN week < 0.95
        THEN 24 * floor(week / 0.19) + seed_hour(week / 0.19 - floor(week / 0.19))
        ELSE 120 + 24 * floor((week - 0.95) / 0.025)
            + seed_hour((week - 0.95) / 0.025 - floor((week - 0.95) / 0.025)) END""",
    "seed_weeks(moment)": f"(moment - {MONDAY}) / {WEEK}",
    "seed_time(moment)": f"""to_timestamp(
        {MONDAY} + {WEEK} * floor(seed_weeks(moment))
        + 3600 * seed_hours(seed_weeks(moment) - floor(seed_weeks(moment))))""",
    "seed_iso(moment)": "strftime(seed_time(moment), '%Y-%m-%dT%H:%M:%SZ')",
}

_PEOPLE = {
    # A few of a team do most of the work.
    "seed_person(team, size, draw)": "hash(team, floor(size * draw * draw), {seed})",
    "seed_first(person)": "seed_pick(seed_words_first(), seed_draw(person, 'first'))",
    "seed_last(person)": "seed_pick(seed_words_last(), seed_draw(person, 'last'))",
    "seed_name(person)": "seed_first(person) || ' ' || seed_last(person)",
    "seed_mail(name)": "lower(replace(name, ' ', '.')) || '@example.org'",
    "seed_topic(key)": "seed_pick(seed_words_topic(), seed_draw(key, 'topic'))",
}

_WORDS = {
    f"seed_words_{name}()": "[" + ", ".join(
        "'" + word.replace("'", "''") + "'" for word in words
    ) + "]"
    for name, words in LISTS.items()
}  # fmt: skip

_SUFFIXES = {"seed_suffixes()": f"MAP {SUFFIXES!r}"}


def macros(seed: int) -> list[str]:
    """
    The statements that make them, for this connection alone.
    """
    made = {**_WORDS, **_SUFFIXES, **_DRAWS, **_HOURS, **_PEOPLE}
    return [
        f"CREATE OR REPLACE TEMP MACRO {name} AS {body.replace('{seed}', str(seed))}"
        for name, body in made.items()
    ]
