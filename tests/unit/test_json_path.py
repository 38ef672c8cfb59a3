"""
Paths into JSON values, as DuckDB spells them.
"""

from __future__ import annotations

import json

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from project_architect_db.dialect.types import json_path

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), ""),
        (("a",), "/a"),
        (("a", "b", 0), "/a/b/0"),
        (("a/b", "c~d"), "/a~1b/c~0d"),
        (("",), "/"),
        (("a.b", "$", "$.c", '"', "'", " "), "/a.b/$/$.c/\"/'/ "),
        ((-1,), "$[-1]"),
        (("a b", -2, 'q"', "\\"), '$."a b"[-2]."q\\""."\\\\"'),
    ],
)
def test_a_path_is_a_json_pointer_or_else_has_a_dollar(keys, expected):
    assert expected == json_path(keys)


@settings(max_examples=200, deadline=None)
@given(st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=4))
def test_any_keys_lead_to_their_value(database, keys):
    value = leaf = "the value"
    for key in reversed(keys):
        value = {key: value} if isinstance(key, str) else [None] * key + [value]

    (found,) = database.execute(
        "SELECT json_extract_string($1::JSON, $2)", [json.dumps(value), json_path(keys)]
    ).fetchone()

    assert leaf == found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        KEYS.filter(lambda key: key not in ("", "*")) | st.integers(-3, -1),
        min_size=1,
        max_size=4,
    )
)
def test_negative_indexes_count_from_the_end(database, keys):
    value = leaf = "the value"
    for key in reversed(keys):
        value = {key: value} if isinstance(key, str) else [value] + [None] * (-key - 1)

    (found,) = database.execute(
        "SELECT json_extract_string($1::JSON, $2)", [json.dumps(value), json_path(keys)]
    ).fetchone()

    assert leaf == found


@pytest.mark.parametrize("key", ["", "*"])
def test_a_key_that_a_negative_index_cannot_be_combined_with_is_refused(key):
    with pytest.raises(ValueError, match="one pair of brackets for each"):
        json_path((key, -1))
