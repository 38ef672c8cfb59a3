"""
Tracked values behave as the dicts and lists they are, and notice each change.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from collections import OrderedDict
from typing import Any

import pytest
from sqlalchemy import JSON, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from project_architect_db.tracked_json import plain, track_json


class Local(DeclarativeBase):
    pass


track_json(Local)


class Paper(Local):
    __tablename__ = "papers"
    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[Any] = mapped_column(JSON, doc="What it says.")
    other: Mapped[Any] = mapped_column(JSON)


def loaded(value):
    """
    An object as it is after loading, with nothing changed.
    """
    paper = Paper()
    set_committed_value(paper, "data", value)
    return paper


def changed(paper):
    return bool(inspect(paper).committed_state)


def document():
    return {"a": 1, "d": {"x": {}}, "l": [3, 1, 2], "n": [{"k": []}], "none": None}


CHANGES_OF_A_DICT = """
d["a"] = 2
d["a"] = 1.0
d["z"] = None
d["d"] = {"x": {}}
del d["a"]
d.update({"a": 5}, b=6)
d.setdefault("z", []).append(1)
d.pop("a")
d.popitem()
d.clear()
d |= {"z": 1}
d["d"]["x"].update(y=1)
d.get("d").update(y=1)
for k in d: k == "d" and d[k].clear()
for v in d.values(): v == {"x": {}} and v.clear()
for _, v in d.items(): v == {"x": {}} and v.clear()
d.copy()["d"].clear()
dict(d)["d"].clear()
{**d}["d"].clear()
({"z": 1} | d | {"y": 1})["d"].clear()
copy.copy(d)["d"].clear()
d.update(q=d.pop("d"))
d["n"][0]["k"] += [1]
""".strip().splitlines()

CHANGES_OF_A_LIST = """
x[0] = 9
x[0:2] = [7]
del x[0]
del x[1:]
x.append(1)
x.extend(i for i in (1, 2))
x.insert(0, 1)
x.remove(3)
x.pop()
x.clear()
x.sort(key=str, reverse=True)
x.reverse()
x += [1]
x *= 2
x[0], x[1] = x[1], x[0]
x[3]["k"].append(1)
x[-1].clear()
for v in x: v == {"k": []} and v.clear()
next(reversed(x)).clear()
x[2:][1].clear()
x.copy()[3].clear()
copy.copy(x)[3].clear()
list(x)[3].clear()
sorted(x, key=str)[-1].clear()
(x + [1])[3].clear()
([1] + x)[4].clear()
(2 * x)[3].clear()
[*x][3].clear()
""".strip().splitlines()


@pytest.mark.parametrize(
    ("value", "change"),
    [(document, change) for change in CHANGES_OF_A_DICT]
    + [(lambda: [3, 1, 2, {"k": []}], change) for change in CHANGES_OF_A_LIST],
    ids=CHANGES_OF_A_DICT + CHANGES_OF_A_LIST,
)
def test_each_change_is_noticed_and_is_what_python_does(value, change):
    paper, expected = loaded(value()), value()
    assert not changed(paper)
    exec(change, dict.fromkeys("dx", paper.data) | {"copy": copy})
    exec(change, dict.fromkeys("dx", expected) | {"copy": copy})
    assert paper.data == expected
    assert json.dumps(paper.data) == json.dumps(expected)
    assert changed(paper)


def test_what_changes_nothing_is_no_change():
    paper = loaded(document())
    data = paper.data
    data["a"] = 1
    data["none"] = None
    data.update({})
    data["d"]["x"].clear()
    data["l"] *= 1
    data["l"].extend([])
    assert (data.setdefault("a", 2), data.pop("z", None), data.get("z", 3)) == (
        1,
        None,
        3,
    )
    assert changed(paper)  # data["l"] = … of `*=` is an assignment
    inspect(paper).committed_state.clear()
    assert (data["d"]["x"], [*data["l"]], dict(data) == document()) == (
        {},
        [3, 1, 2],
        True,
    )
    assert not changed(paper)


def test_what_fails_changes_nothing():
    paper = loaded(document())
    for failing in (
        lambda d: d.pop("z"),
        lambda d: d["l"].remove(9),
        lambda d: d["l"].__setitem__(9, 9),
        lambda d: d["l"] + (1,),
    ):
        with pytest.raises((KeyError, ValueError, IndexError, TypeError)):
            failing(paper.data)
    assert not changed(paper)


def test_values_are_dicts_and_lists_and_copies_are_plain():
    data = loaded(document()).data
    assert isinstance(data, dict)
    assert isinstance(data["n"], list)
    for copied in (copy.deepcopy(data), pickle.loads(pickle.dumps(data)), plain(data)):
        assert copied == data == document()
        kinds = (type(copied), type(copied["n"]), type(copied["n"][0]))
        assert kinds == (dict, list, dict)
    assert {type(copy.copy(data)), type(data.copy()), type(data | {})} == {dict}
    assert {type(data["n"].copy()), type(data["n"][:]), type(data["n"] * 1)} == {list}
    assert [type(type(data)(a=1)), type(type(data["n"])([1]))] == [dict, list]
    assert str(data) == str(document())


def test_a_copy_changes_nothing():
    paper = loaded(document())
    copied = copy.deepcopy(paper.data)
    copied["d"]["x"]["y"] = 1
    copied["n"].append(1)
    assert paper.data == document()
    assert not changed(paper)


def test_reading_twice_gives_the_same_value():
    paper = loaded(document())
    assert paper.data is paper.data
    assert paper.data["d"]["x"] is paper.data["d"]["x"]
    assert paper.data["n"][0] is next(iter(paper.data["n"]))


def test_what_is_no_dict_or_list_stays_as_it_is():
    for value in (None, 1, 1.5, "text", True):
        assert loaded(value).data is value


def test_subclasses_of_dict_are_tracked_too():
    paper = loaded(OrderedDict(a=OrderedDict()))
    paper.data["a"]["b"] = 1
    assert changed(paper)


SHARED = {
    "the value": lambda data: data,
    "a copy": dict,
    "what is in it": lambda data: [data["d"], 1],
    "a part": lambda data: data["d"],
}


@pytest.mark.parametrize("share", SHARED.values(), ids=SHARED)
def test_a_value_given_to_two_objects_is_tracked_for_each(share):
    first, second = loaded(document()), loaded(None)
    first.data["d"]["x"]["y"] = 1
    second.data = share(first.data)
    before = plain(second.data)
    first.data["d"]["x"]["y"] = 2
    assert second.data == before
    for one, other in ((first, second), (second, first)):
        inspect(first).committed_state.clear()
        inspect(second).committed_state.clear()
        one.data.clear()
        assert (changed(one), changed(other)) == (True, False)


def test_a_part_of_one_attribute_becomes_a_part_of_another():
    paper = loaded(document())
    paper.other = {}
    paper.other["part"] = paper.data["d"]
    inspect(paper).committed_state.clear()
    paper.other["part"]["x"]["y"] = 1
    assert paper.data == document()
    assert set(inspect(paper).committed_state) == {"other"}


def test_a_value_put_past_sqlalchemy_is_still_told_apart():
    """
    As `merge(load=False)` does.
    """
    first, second = loaded(document()), loaded(None)
    vars(second)["data"] = first.data
    second.data["a"] = 2
    vars(second)["other"] = first.data["d"]
    second.other["x"]["y"] = 1
    assert first.data == document()
    assert not changed(first)


def test_an_old_value_changes_nothing_any_more():
    paper = loaded(document())
    old, inner = paper.data, paper.data["d"]
    set_committed_value(paper, "data", {"new": 1})
    old["a"] = 2
    inner["x"] = 2
    assert paper.data == {"new": 1}
    assert not changed(paper)


def test_a_value_changed_while_it_was_replaced_is_saved_when_it_comes_back():
    paper = loaded(document())
    old = paper.data
    paper.data = None
    old["a"] = 2
    paper.data = old
    assert inspect(paper).attrs.data.history.has_changes()
    assert paper.data is old


def test_assigning_a_value_to_itself_is_no_change():
    paper = loaded(document())
    paper.data = paper.data
    assert not inspect(paper).attrs.data.history.has_changes()
    paper.data |= {"a": 2}
    assert inspect(paper).attrs.data.history.has_changes()


def test_the_class_attribute_is_as_it_was():
    assert Paper.data.__doc__ == "What it says."
    assert str(Paper.data["a"] == "x") == "papers.data[:data_1] = :param_1"
    assert str(aliased(Paper, name="p").data) == "aliased(Paper).data"


def test_an_object_stays_as_long_as_its_value_is_held():
    paper = loaded(document())
    gone, data = weakref.ref(paper), paper.data
    del paper
    gc.collect()
    assert gone() is not None
    del data
    gc.collect()
    assert gone() is None
