"""
Texts are words, words have forms and terms, and any query means something.
"""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snowballstemmer.english_stemmer import EnglishStemmer

from project_architect_db.domain.search.highlights import (
    Highlighting,
    Match,
    find_matches,
    snippets,
)
from project_architect_db.domain.search.query import (
    LONGEST_QUERY,
    MOST_WORDS,
    By,
    Clause,
    Element,
    parse,
)
from project_architect_db.domain.search.tokens import (
    LONGEST_WORD,
    WORD,
    fold,
    forms,
    stem,
    words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" ,.;- ", []),
        ("One, two.Three: four!", ["One", "two.Three", "four"]),
        ("the end. 3.14", ["the", "end", "3.14"]),
        ("don't l’école", ["don't", "l’école"]),
        ("C++ C# F#, #tag", ["C++", "C#", "F#", "tag"]),
        ("a_b __init__ x-y", ["a_b", "__init__", "x", "y"]),
        ("日本 go", ["日", "本", "go"]),
        ("한국어 नमस्ते e\u0301a", ["한국어", "नमस्ते", "e\u0301a"]),
        ("a\x00b\u2009c", ["a", "b", "c"]),
    ],
)
def test_the_words_of_a_text(text, expected):
    assert expected == words(text)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Running", ["running"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("parseHTTPResponse",
         ["parsehttpresponse", "parse", "http", "response", "parsehttp",
          "httpresponse"]),
        ("os.path.join",
         ["os.path.join", "os", "path", "join", "os.path", "path.join"]),
        ("get_user_name",
         ["get_user_name", "get", "user", "name", "get_user", "user_name"]),
        ("v2.0", ["v2.0", "v2", "0"]),
        ("C++", ["c++", "c"]),
        ("l’École", ["l'ecole", "l", "ecole"]),
        ("___", ["___"]),
        ("日", ["日"]),
        ("x" * 300, ["x" * LONGEST_WORD]),
    ],
)  # fmt: skip
def test_the_forms_of_a_word(word, expected):
    assert expected == [form for form, _ in forms(word)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Straße", "strasse"), ("ﬁne", "fine"), ("Ａ１", "a1"), ("ÉTÉ", "ete"),
     ("が", "が"), ("İ", "i"), ("don’t", "don't")],
)  # fmt: skip
def test_case_accents_and_ligatures_make_no_difference(text, expected):
    assert expected == fold(text)


def test_the_stemmer_is_asked_wherever_it_would_change_a_word():
    stemmer = EnglishStemmer()
    roots = ["relat", "hope", "nation", "activ", "fl", "sky", "technolog", "gener"]
    ends = re.findall(
        r"\S+",
        "a s ed ing ly ies ion ional ize izer ator ness ful fulness able ible ance "
        "ence er or ic ical ism ist ist's ment ement ent ant al ous ive li y e eedly "
        "ingly ogi bli ousli l ll iti ate k",
    )
    for word in (root + end for root in roots for end in ends):
        assert stemmer.stemWord(word) == stem(word)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_duckdb_and_python_see_the_same_words(text):
    sql = "SELECT regexp_extract_all($1, $2)"
    ((found,),) = duckdb.execute(sql, [text, WORD]).fetchall()
    assert found == words(text)


def term(text):
    return Element(By.TERM, text)


def form(text):
    return Element(By.FORM, text)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ('" - * "" -"', []),
        ("Running Crème", [Clause((term("run"),)), Clause((term("creme"),))]),
        ("run running", [Clause((term("run"),))]),
        ('"the Server"', [Clause((form("the"), form("server")), required=True)]),
        ('"not closed', [Clause((form("not"), form("closed")), required=True)]),
        ("port*", [Clause((Element(By.PREFIX, "port"),))]),
        ("*", []),
        ('-old -"a b"', [Clause((term("old"),), excluded=True),
                           Clause((form("a"), form("b")), excluded=True)]),
        ("src/ap*", [Clause((term("src"), Element(By.PREFIX, "ap")))]),
        ("日本", [Clause((term("日"), term("本")))]),
        ("C++", [Clause((term("c++"),))]),
        ("\ud800 a", [Clause((term("a"),))]),
    ],
)  # fmt: skip
def test_what_a_query_means(query, expected):
    assert expected == parse(query)


def test_all_words_can_be_required():
    found = parse("a -b", match_all=True)
    assert [(True, False), (False, True)] == [(c.required, c.excluded) for c in found]


def test_a_query_has_an_end():
    assert MOST_WORDS == len(parse(" ".join(map(str, range(1000)))))
    assert len("x" * LONGEST_WORD) == len(parse("x" * LONGEST_QUERY * 2)[0][0][0].text)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=100))
def test_any_text_is_a_query(text):
    for clause in parse(text):
        assert clause.elements


def marked(text, spellings, **show):
    return snippets(text, spellings, Highlighting(**show))


def test_words_are_marked_where_they_are():
    spellings = {0: {0: {"Élan", "élans"}}}
    text = "Un Élan, deux élans, un elan."
    assert [Match(3, 7), Match(14, 19)] == find_matches(text, spellings)
    assert ("Un **Élan**, deux **élans**, un elan.",) == marked(text, spellings)


def test_a_phrase_is_marked_as_a_whole_and_only_there():
    spellings = {0: {0: {"a"}, 1: {"b"}}, 1: {0: {"b"}}}
    assert ("[a b] a c [b] a",) == marked(
        "a b a c b a", spellings, before="[", after="]"
    )
    assert ("a",) == marked("a", {0: {0: {"a"}, 1: {"b"}}})


def test_text_is_escaped_and_marks_are_not():
    escape = {"before": "<b>", "after": "</b>", "escape": lambda text: text.upper()}
    assert ("X\u00a0Y <b>Z</b>".replace("\u00a0", " "),) == marked(
        "x\n y  z", {0: {0: {"z"}}}, **escape
    )


def test_a_snippet_is_the_part_with_most_of_the_query():
    text = "alpha " + "x " * 200 + "alpha beta " + "y " * 200 + "beta"
    spellings = {0: {0: {"alpha"}}, 1: {0: {"beta"}}}
    (snippet,) = marked(text, spellings, length=40)
    assert "**alpha** **beta**" in snippet
    assert snippet.startswith("… x ")
    assert snippet.endswith(" y …")


def test_several_snippets_do_not_overlap_and_follow_the_text():
    text = "one " + "x " * 100 + "two " + "x " * 100 + "three one"
    spellings = {0: {0: {"one"}}, 1: {0: {"two"}}, 2: {0: {"three"}}}
    found = marked(text, spellings, length=20, snippets=3)
    assert ["**one**", "**two**", "**three** **one**"] == [
        " ".join(word for word in snippet.split() if "*" in word) for snippet in found
    ]
    assert 1 == len(marked("one two", spellings, snippets=3))


def test_without_a_match_a_snippet_is_the_beginning():
    assert ("some words …",) == marked("some words and more", {}, length=12)
    assert ("",) == marked("", {})


def test_a_match_longer_than_a_snippet_is_shown():
    assert ("**aaaaaaaa** …",) == marked("aaaaaaaa b", {0: {0: {"aaaaaaaa"}}}, length=4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["foo", "bar", "x", "a-b", "\n"]), max_size=60),
    st.integers(0, 30), st.integers(1, 3),
)  # fmt: skip
def test_snippets_are_parts_of_the_text(parts, length, count):
    text = " ".join(parts)
    spellings = {0: {0: {"foo"}}, 1: {0: {"bar"}, 1: {"x"}}}
    for snippet in marked(text, spellings, length=length, snippets=count):
        plain = snippet.replace("*", "").removeprefix("… ").removesuffix(" …")
        assert plain.strip() in " ".join(text.split())
