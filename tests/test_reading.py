"""What is read from disk may be damaged, or made to do harm: each is one clear sentence."""

import gzip
import hashlib
import json
import math
import re
import resource
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from soak.mutations import zipped

from deceive.auditing import read_report
from deceive.auditing.leaderboard import write_leaderboard
from deceive.auditing.models.formats import load_model
from deceive.common.arrays import read_arrays
from deceive.common.errors import InputError
from deceive.common.files import parse_json, read_json
from deceive.data.idx import read_idx
from deceive.data.loading import load_data
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_card, load_network, save_network
from deceive.storage.runs import Run
from deceive.teaching import PRESETS, changed
from worlds.records import CARD

DEEP = b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "expected a JSON object; Expecting value"),
        (b"[1]", "expected a JSON object, got list"),
        (b"null", "expected a JSON object, got NoneType"),
        (b'{"a": 1} x', "expected a JSON object; Extra data"),
        (DEEP, "nested at most 50 deep, got deeper nesting"),
        (b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}", "nested at most 50 deep"),
        (b"[" * 100_000, "nested at most 50 deep"),
        (b'{"a": "\xff"}', "expected a JSON object in UTF-8; invalid start byte"),
        (b'{"a": "\\ud800"}', "expected a JSON object in UTF-8; surrogates not allowed"),
        (b'{"\\udc00": 1}', "expected a JSON object in UTF-8; surrogates not allowed"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": [-Infinity]}', "-Infinity is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' appears twice"),
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
    with pytest.raises(InputError, match=r"large\.json: expected a JSON object, at most 16,777"):
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


NETWORK = Classifier("fast", 2, (1, 8, 8))
TINY_CARD = CARD.model_copy(update={"n_outputs": 2, "image_shape": (1, 8, 8)})


def put(folder, tensors=None, **changes):
    """Weights in a file with a card that fits them but for these changes; its path."""
    path = folder / "net.safetensors"
    save_network(NETWORK, path, TINY_CARD)
    if tensors is not None:
        path.write_bytes(save(tensors))
        changes = {"weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest()} | changes
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    return path


def state(**changes):
    return {k: v.contiguous() for k, v in (NETWORK.state_dict() | changes).items()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_shape": [1_000_000, 8, 8]}, "image_shape.0: expected a number of at most"),
        ({"image_shape": [60_000, 60_000, 60_000]}, "(32, 60000, 5, 5) float32, is (32, 1, 5, 5)"),
        ({"image_shape": [1, 0, 8]}, "image_shape.1: expected a number of at least 1"),
        ({"image_shape": [1, 8, -8]}, "image_shape.2: expected a number of at least 1"),
        (
            {"image_shape": [1, 1, 1], "architecture": "study"},
            "net.json: image_shape: expected images of at least 10×10 pixels for a network",
        ),
        ({"n_outputs": 10_000_000}, "n_outputs: expected a number of at most 100,000"),
        ({"n_outputs": 100_000}, "'head.bias' should be (100000,) float32, is (2,) float32"),
        ({"n_outputs": 10**30}, "n_outputs"),
        ({"architecture": "nope"}, "architecture: expected one of detector, draw"),
        ({"rubbish_class": 2}, "expected a rubbish_class below n_outputs, 2, got 2"),
        ({"rubbish_class": -1}, "rubbish_class: expected a number of at least 0"),
        ({"test_accuracy": 1.5}, "test_accuracy: expected a number of at most 1"),
    ],
)
def test_a_card_is_checked_before_anything_is_built(tmp_path, changes, said):
    path = put(tmp_path, **changes)
    for read in (load_card, load_network):
        started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputError, match=re.escape(said)):
            read(path)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started
        assert grown < 100_000  # KiB; the network of such a card would take gigabytes


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (state(extra=torch.zeros(3)), "'extra' should be absent, is (3,) float32"),
        ({}, "'body.0.weight' should be (32, 1, 5, 5) float32, is absent"),
        (
            state(**{"head.bias": torch.zeros(2, dtype=torch.int64)}),
            "'head.bias' should be (2,) float32, is (2,) int64",
        ),
        (
            state(**{"head.bias": torch.zeros(2, dtype=torch.float64)}),
            "'head.bias' should be (2,) float32, is (2,) float64",
        ),
        (
            state(**{"head.bias": torch.tensor([0.0, math.nan])}),
            "'head.bias' contains NaN or infinity",
        ),
        (state(extra=torch.zeros(2**19)), "in its card, at most "),
    ],
)
def test_weights_that_a_card_does_not_describe_are_named(tmp_path, tensors, said):
    with pytest.raises(InputError, match=rf"net\.safetensors: .*{re.escape(said)}"):
        load_network(put(tmp_path, tensors))


def test_a_weights_file_is_read_no_further_than_its_card_needs(tmp_path):
    path = put(tmp_path)
    with path.open("r+b") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(InputError, match="network, as in its card, at most 1,"):
        load_network(path)


def peak(read):
    """The most memory that Python and numpy had at once for it, in bytes."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzipped_data_set_takes_its_own_room_once(tmp_path):
    path = tmp_path / "images.gz"
    size = 2**25
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2**15, 32, 32))
    path.write_bytes(gzip.compress(header + bytes(size), 1))
    assert size <= peak(lambda: read_idx(path)) < size + 2**23


def test_arrays_that_unfold_to_gigabytes_are_not_unfolded(tmp_path):
    path = tmp_path / "arrays.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("levels.npy", "w") as file,
    ):
        file.write(npy("(268435456,)", b""))
        for _ in range(2**8):
            file.write(bytes(2**20))

    def read():
        with pytest.raises(
            InputError, match=r"arrays\.npz: expected arrays; unpacks to 268,435,\d+ bytes"
        ):
            read_arrays(path)

    assert peak(read) < 2**23


def npy(shape, body=b"\0" * 8, dtype="|u1"):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("levels.npy", npy("(10**9,)"))], "Cannot parse header|malformed"),
        ([("levels.npy", npy("(1000000000,)"))], "should hold (1000000000,) of uint8, holds 8"),
        ([("levels.npy", npy("(-8,)"))], "should hold (-8,) of uint8"),
        ([("levels.npy", npy("(9,)"))], "should hold (9,) of uint8, holds 8 bytes"),
        ([("levels.npy", npy("(1,)", dtype="|O"))], "should hold numbers, holds object"),
        ([("levels.npy", npy("(1,)", dtype="<U2"))], "should hold numbers, holds <U2"),
        ([("levels.npy", npy("(" * 500))], "expected arrays; "),
        ([("levels.npy", b"")], "expected arrays; "),
        ([("a.npy", npy("(8,)")), ("a.npy", npy("(8,)"))], "'a.npy', or two of that name"),
        ([("/etc/a.npy", npy("(8,)"))], "got a member named '/etc/a.npy'"),
        ([("../a.npy", npy("(8,)"))], "got a member named '../a.npy'"),
        ([("a", npy("(8,)"))], "got a member named 'a'"),
        ([("other.npy", npy("(8,)"))], "found no levels"),
        ([("levels.npy", npy("(8,)"))], "levels should be uint8 (N = 8, M), is uint8 (8,)"),
        ([("levels.npy", npy("(2, 4)")), ("targets.npy", npy("(1,)", dtype="<i8"))], "(N = 2)"),
        ([("levels.npy", npy("(0, 4)", b""))], "levels should be uint8 (N = 0, M = 4)"),
        ([("levels.npy", npy("(2, 1)", dtype="<f4"))], "levels should be uint8"),
        (
            [
                ("levels.npy", npy("(1, 8)")),
                ("share.npy", npy("(1,)", struct.pack("<d", math.nan), "<f8")),
            ],
            "share should be from 0 to 1, has other values",
        ),
        (
            [
                ("levels.npy", npy("(2, 4)")),
                ("targets.npy", npy("(2,)", struct.pack("<2q", 0, 2), "<i8")),
            ],
            "targets should be from 0 to 1, has other values",
        ),
    ],
)
def test_arrays_that_are_not_what_they_should_be(tmp_path, members, said):
    path = tmp_path / "arrays.npz"
    path.write_bytes(zipped(members))
    layout = {"levels": "levels N M", "targets?": "classes N", "share?": "shares N"}
    with pytest.raises(InputError) as caught:
        read_arrays(path, layout)
    assert str(caught.value).startswith(f"{path}: expected arrays; ")
    assert any(each in str(caught.value) for each in said.split("|")), caught.value
    assert "\n" not in str(caught.value)


OF_PATHS = {
    "a network": load_network,
    "a card": load_card,
    "a run": Run.open,
    "a new run": lambda path: Run(path, {"seed": 0}),
    "an audit": lambda path: write_leaderboard([path], path.with_name("out.md")),
    "a model": load_model,
    "a data set": load_data,
}


@pytest.mark.parametrize("call", OF_PATHS.values(), ids=OF_PATHS)
@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + "/x.safetensors", "loop", "loop/x.pt2"])
def test_a_path_that_cannot_be_is_one_sentence(call, name, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="expected"):
        call(tmp_path / name)


@pytest.mark.parametrize("call", OF_PATHS.values(), ids=OF_PATHS)
def test_a_path_that_may_not_be_read_is_one_sentence(call, tmp_path, monkeypatch):
    def refused(function):
        def call(path, *rest, **options):
            if "closed" in path.parts:
                raise PermissionError(13, "Permission denied")
            return function(path, *rest, **options)

        return call

    for name in ("stat", "open"):
        monkeypatch.setattr(Path, name, refused(getattr(Path, name)))
    with pytest.raises(InputError, match=r"expected .*; Permission denied"):
        call(tmp_path / "closed" / "x.safetensors")


def test_names_in_a_file_cannot_make_a_sentence_long_or_break_it(tmp_path):
    for name in ("a\nb\u2028c", "x" * 100_000):
        path = put(tmp_path, **{name: 1})
        with pytest.raises(InputError, match=r"net\.json: expected the card") as caught:
            load_card(path)
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 600
