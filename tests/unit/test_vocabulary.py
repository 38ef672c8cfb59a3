"""
Words that a field may hold.
"""

from __future__ import annotations

import pytest

from project_architect_db import (
    ConfigurationError,
    InvalidDataError,
    Schema,
    Vocabulary,
)
from project_architect_db.domain.schemas import ProjectCreate
from project_architect_db.domain.vocabulary import PROJECT_STATUSES


@pytest.fixture
def moods():
    return Vocabulary("mood", "calm", "curious")


def test_a_known_word_is_itself(moods):
    assert "calm" == moods.check("calm")
    assert "calm" in moods
    assert "Calm" not in moods


def test_another_is_refused_with_what_was_meant(moods):
    with pytest.raises(ValueError, match="'CURIUS' is no mood; did you mean 'curious'"):
        moods.check("CURIUS")
    with pytest.raises(ValueError, match="'x' is no mood; there are calm, curious"):
        moods.check("x")


def test_words_can_be_added(moods):
    moods.add("bored", "very_2-tired", "calm")
    assert ("calm", "curious", "bored", "very_2-tired") == moods.words
    assert "bored" == moods.check("bored")


@pytest.mark.parametrize(
    "word", ["", "Bored", "2nd", "so so", "é", "x" * 51, "a\n", None, 5]
)
def test_a_word_that_cannot_be(moods, word):
    with pytest.raises(ConfigurationError, match="cannot be a mood"):
        moods.add("fine", word)
    assert ("calm", "curious") == moods.words


def test_a_schema_knows_an_added_word(monkeypatch):
    monkeypatch.setattr(PROJECT_STATUSES, "_words", dict.fromkeys(["draft"]))
    PROJECT_STATUSES.add("paused")
    made = ProjectCreate(name="a", project_idea="b", status="paused")
    assert "paused" == made.status


def test_a_word_can_be_required(moods):
    moods.require("calm", model="Cat", field="mood")
    with pytest.raises(InvalidDataError, match="did you mean 'calm'") as caught:
        moods.require("clam", model="Cat", field="mood")
    assert ("Cat", "mood", "clam") == (
        caught.value.model, caught.value.field, caught.value.value
    )  # fmt: skip
    for wrong in (None, 5, ["calm"]):
        with pytest.raises(InvalidDataError, match="expected text"):
            moods.require(wrong, model="Cat", field="mood")


def test_the_json_schema_shows_the_words(monkeypatch):
    monkeypatch.setattr(PROJECT_STATUSES, "_words", {"draft": None, "paused": None})
    shown = ProjectCreate.model_json_schema()["properties"]["status"]
    assert "string" == shown["type"]
    assert ["draft", "paused"] == shown["examples"]
    assert issubclass(ProjectCreate, Schema)
