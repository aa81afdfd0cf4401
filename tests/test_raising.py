"""What is said of errors in a user's own code, and of models that aren't there."""

import pytest

from deceive.auditing.models.formats import load_model
from deceive.auditing.models.preprocessing import function_of
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.data.given import as_data

CODE = """\
import torch

def net():
    return deeper()

def deeper():
    return torch.load("weights.pt", weights_only=True)

def brightened(images):
    return images * 2
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(CODE)
    (tmp_path / "torn.py").write_text("x = 1\ndef net(:\n")
    (tmp_path / "wanting.py").write_text("\nimport no_such_package_at_all\n")
    (tmp_path / "network.onnx").write_bytes(b"")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text("{}")
    (tmp_path / "run" / "weights").mkdir(parents=True)
    for name in ("round-000003", "round-000010"):
        for ending in ("json", "safetensors"):
            (tmp_path / "run" / "weights" / f"{name}.{ending}").touch()
    (tmp_path / "run" / "checkpoint.safetensors").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("my.py:net", r"FileNotFoundError: No such .*: weights.pt \(in my.py, line 7\)"),
        ("torn.py:net", r"SyntaxError: .* \(in torn.py, line 2\)"),
        ("wanting.py:net", r"No module named 'no_such_package_at_all' \(in wanting.py, line 2\)"),
        ("my.py:nett", "'nett' in my.py, found none; did you mean net"),
        ("my.py", "expected my.py:factory, got my.py; it defines net, deeper, .*: try my.py:net"),
        ("my", "expected my:factory, got my; it defines net"),
        ("netwrok.onnx", "found nothing at netwrok.onnx; did you mean network.onnx"),
        ("nets/a.onnx", "found nothing at nets/a.onnx; there is no folder nets either"),
        ("a.safetensors", "found nothing at a.safetensors; paths begin at the working directory"),
        ("nets/", "expected a folder, found nothing at nets/"),
        ("hub", "got the folder hub; try hf:hub"),
        (".", "got the folder .; name a file in it"),
        ("run", r"folder run; name a file in it \(weights/round-000010.safetensors, weights/round"),
        ("mine.py:net", "found nothing at mine.py"),
        ("fats", "did you mean fast"),
    ],
)
def test_the_error_names_the_users_own_line_or_what_was_meant(place, spec, said):
    with pytest.raises(InputError, match=said) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_function_is_read_and_not_run(place):
    (place / "loud.py").write_text("raise SystemExit\ndef forward(images): pass\n")
    with pytest.raises(InputError, match=r"it defines forward: try loud.py:forward"):
        function_of("loud.py")
    with pytest.raises(InputError, match=r"try my.py:brightened"):
        function_of("my.py")


def test_an_item_that_fails_names_its_line():
    class Pairs:
        def __len__(self):
            return 9

        def __getitem__(self, row):
            return {}["picture"]

    with pytest.raises(InputError, match=r"KeyError: 'picture' \(in .*test_raising.py, line \d+"):
        as_data(Pairs())


def test_long_messages_are_cut_and_lines_joined():
    said = raised(ValueError("a\n  b" + "c" * 1000))
    assert said.startswith("ValueError: a bcc")
    assert len(said) < 330
