"""What is read from disk may be damaged, or made to do harm: each is one clear sentence."""

import json

import pytest

from deceive.auditing import read_report
from deceive.errors import InputError
from deceive.files import parse_json, read_json
from deceive.models import load_card
from deceive.runs import Run
from deceive.teaching.settings import PRESETS, changed

DEEP = b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "expected a JSON object; Expecting value"),
        (b"[1]", "expected a JSON object, got list"),
        (b"null", "expected a JSON object, got NoneType"),
        (b'{"a": 1} x', "expected a JSON object; Extra data"),
        (DEEP, "nested at most 50 deep, got one nested deeper"),
        (b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "nested at most 50 deep"),
        (b"[" * 100_000, "nested at most 50 deep"),
        (b'{"a": "\xff"}', "expected a JSON object in UTF-8; invalid start byte"),
        (b'{"a": "\\ud800"}', "expected a JSON object in UTF-8; surrogates not allowed"),
        (b'{"\\udc00": 1}', "expected a JSON object in UTF-8; surrogates not allowed"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": [-Infinity]}', "-Infinity is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is there twice"),
        (b'{"a": ' + b"1" * 5000 + b"}", r"Exceeds the limit \(4300 digits\)"),
    ],
)
def test_what_is_wrong_with_json_is_said_in_one_sentence(text, said):
    with pytest.raises(InputError, match=rf"^here: .*{said}") as caught:
        parse_json(text, "here")
    assert "\n" not in str(caught.value)


def test_json_comes_back_as_it_was_with_a_byte_order_mark_or_without():
    content = {"a": [1, 2.5, None, True, {"é": "\u2028\U0001f600"}], "b": -(10**30), "c": {}}
    for text in (json.dumps(content), json.dumps(content, ensure_ascii=False)):
        for mark in (b"", b"\xef\xbb\xbf"):
            assert parse_json(mark + text.encode(), "here") == content


def test_no_more_of_a_file_is_read_than_json_of_ours_can_have(tmp_path):
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(InputError, match=r"large\.json: expected a JSON object of at most 16,777"):
        read_json(path)
    with pytest.raises(InputError, match=r"none\.json: expected a card; No such file"):
        read_json(tmp_path / "none.json", "a card")
    with pytest.raises(InputError, match=r"expected a JSON object; Is a directory"):
        read_json(tmp_path)


@pytest.mark.parametrize("name", ["settings.json", "environment.json", "rows.jsonl"])
def test_deep_json_in_a_run_folder_is_a_sentence(tmp_path, name):
    run = Run(tmp_path, {"seed": 0})
    (tmp_path / name).write_bytes(DEEP)
    with pytest.raises(InputError, match=rf"{name}.*: expected a JSON object nested at most"):
        print(Run.open(tmp_path).settings, run.environment, run.rows())


def test_deep_json_in_a_card_an_audit_or_settings_is_a_sentence(tmp_path):
    path = tmp_path / "any.json"
    path.write_bytes(DEEP)
    path.with_suffix(".safetensors").touch()
    for read in (
        lambda: load_card(path.with_suffix(".safetensors")),
        lambda: read_report(path),
        lambda: changed(PRESETS["draw"], path),
    ):
        with pytest.raises(InputError, match=r"any\.json: expected .* nested at most 50 deep"):
            read()
