"""
The JSON text that is stored.
"""

from __future__ import annotations

import json

import pytest

from project_architect_db.dialect import types

VALUES = ["x", 'ü€😀\n"\\', 1, -1.5, 1e300, None, True, [], {}, 2**70,
          {"a": [1, {"b": None}], "1": {}}, {1: 2, None: 3}, float("inf")]  # fmt: skip


@pytest.mark.parametrize("has_c", [True, False])
def test_it_is_what_pythons_encoder_writes(monkeypatch, has_c):
    if not has_c:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    encode = types._compact_json()
    for value in VALUES:
        expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert expected == encode(value)


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        types.compact_json({"a": {1, 2}})
    endless = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        types.compact_json(endless)
