"""IDX files: whatever bytes are in one, it is read whole or refused in a sentence."""

import gzip
import math
import struct
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from deceive.common.errors import InputError
from deceive.data import idx as reading
from deceive.data.idx import read_idx
from deceive.data.loading import load_data
from deceive.data.source import MNIST
from worlds.files import (
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Bytes,
    gzipped,
    idx,
    small,
    write,
)

T = TypeVar("T")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hypothesis may use over and over."""
    return tmp_path_factory.mktemp("scratch")


def test_a_gzip_file_of_several_members(tmp_path: Path) -> None:
    content = small()[TRAIN_IMAGES]
    path = tmp_path / "members"
    path.write_bytes(gzipped(content[:50]) + gzipped(b"") + gzipped(content[50:]))
    assert idx(read_idx(path)) == content


LABELS = small()[TRAIN_LABELS]  # 8 bytes of header, 12 of values
PACKED = gzipped(LABELS)

DAMAGED = {
    "empty": (b"", "begins with the bytes 00 00 08, got an empty file"),
    "short magic": (b"\0\0\x08", "begins with the bytes 00 00 08, got 00 00 08"),
    "wrong magic": (b"\x89PNG" + LABELS, "begins with the bytes 00 00 08, got 89 50 4e 47"),
    "floats": (b"\0\0\x0d" + LABELS[3:], "unsigned bytes.*got type 0x0d"),
    "no dimensions": (b"\0\0\x08\0" + LABELS[4:], "1 to 4 dimensions, got 0"),
    "many dimensions": (b"\0\0\x08\xff" + LABELS[4:], "1 to 4 dimensions, got 255"),
    "short header": (LABELS[:6], "a header of 8 bytes.* got 6 bytes"),
    "nothing in it": (idx(np.empty((0, 28, 28), np.uint8)), "at least 1, got 0×28×28"),
    "truncated": (LABELS[:-1], "expected 12 values .12. according to its header, got 11"),
    "over-long": (LABELS + b"\0", "expected 12 values .12. according to its header, got more"),
    "huge": (
        struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
        "expected 79,228,162,458,924,105,385,300,197,375 values .* got a file of 16 bytes",
    ),
    "packed, truncated inside": (gzipped(LABELS[:-1]), "expected 12 values .* got 11"),
    "packed, over-long inside": (gzipped(LABELS + b"\0"), "expected 12 values .* got more"),
    "packed, huge inside": (
        gzipped(struct.pack(">4B2I", 0, 0, 8, 2, 2**16, 2**16)),
        "expected 4,294,967,296 values .65536×65536. .* got a file of",
    ),
    "packed twice": (gzipped(PACKED), "begins with the bytes 00 00 08, got 1f 8b"),
    "packed, truncated": (PACKED[:-9], "readable IDX file.*ended before"),
    "packed, only a magic": (PACKED[:2], "readable IDX file.*ended before"),
    "packed, wrong checksum": (PACKED[:-8] + bytes(8), "readable IDX file.*CRC"),
    "packed, wrong method": (b"\x1f\x8b\x01" + PACKED[3:], "readable IDX file.*method"),
    "packed, not deflate": (PACKED[:10] + b"\xff" * 9, "readable IDX file.*invalid block"),
    "packed, junk after": (PACKED + b"junk", "readable IDX file"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_named_with_what_was_expected_and_what_came(
    case: str, make_set: Callable[..., Path]
) -> None:
    content, message = DAMAGED[case]
    folder = make_set({TRAIN_LABELS: content})
    with pytest.raises(InputError, match=message) as caught:
        load_data(folder, validation=2)
    said = str(caught.value)
    assert said.startswith(f"{folder / TRAIN_LABELS}: expected ")
    assert "\n" not in said


def test_a_gzip_bomb_is_unpacked_no_further_than_its_header_says(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(LABELS)
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(
            InputError, match=r"expected 12 values .12. according to its header.* got more"
        ):
            read_idx(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"set: expected a file, found a folder"):
        read_idx(write(tmp_path / "set", {}))
    with pytest.raises(InputError, match=r"absent: expected a file, found nothing"):
        read_idx(tmp_path / "absent")

    write(tmp_path, {"labels": LABELS})

    # Tests may run as root, whom no permission stops.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"labels: expected a readable IDX .*; Permission denied"):
        read_idx(tmp_path / "labels")


def test_memory_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    write(tmp_path, {"labels": LABELS})
    monkeypatch.setattr(reading.np, "empty", exhaust)
    with pytest.raises(InputError, match=r"labels: expected .*; MemoryError"):
        read_idx(tmp_path / "labels")


quietly = partial(settings, deadline=None, max_examples=150)

arrays = st_numpy.arrays(np.uint8, st_numpy.array_shapes(min_dims=1, max_dims=4, max_side=5))


@st.composite
def mutated(draw: st.DrawFn, content: st.SearchStrategy[bytes]) -> bytes:
    """Some content that was cut, extended, or had some bytes changed; mostly near its start."""
    damaged = bytearray(draw(content))
    for _ in range(draw(st.integers(1, 3))):
        last = max(0, len(damaged) - 1)
        where = draw(st.integers(0, min(last, 20)) | st.integers(0, last))
        match draw(st.sampled_from(["change", "cut", "extend", "insert"])):
            case "change":
                damaged[where : where + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del damaged[where:]
            case "extend":
                damaged += draw(st.binary(min_size=1, max_size=30))
            case "insert":
                damaged[where:where] = draw(st.binary(min_size=1, max_size=4))
    return bytes(damaged)


@st.composite
def reheaded(draw: st.DrawFn) -> bytes:
    """Values under a header that was written for others."""
    n = draw(st.integers(0, 6))
    sizes = draw(st.lists(st.integers(0, 6) | st.integers(0, 2**32 - 1), min_size=n, max_size=n))
    kind = draw(st.sampled_from([8, 8, 8, 9, 11, 12, 13, 14]))
    values = draw(st.binary(max_size=200))
    if draw(st.booleans()) and math.prod(sizes) < 10_000:
        values = values.ljust(math.prod(sizes), b"\1")
    return struct.pack(f">4B{n}I", 0, 0, kind, n, *sizes) + values


plain = arrays.map(idx)
files = st.one_of(
    plain,
    plain.map(gzipped),
    mutated(plain),
    mutated(plain).map(gzipped),
    mutated(plain.map(gzipped)),
    reheaded(),
    reheaded().map(gzipped),
    st.binary(max_size=60),
)


def attempt(read: Callable[[], T]) -> tuple[T | None, str]:
    """What was read, or what the `InputError` said; any other exception is the test's failure."""
    try:
        return read(), ""
    except InputError as error:
        return None, str(error)


@quietly()
@given(array=arrays, packed=st.booleans())
def test_what_is_written_is_read(scratch: Path, array: Bytes, packed: bool) -> None:
    path = scratch / "array"
    path.write_bytes(gzipped(idx(array)) if packed else idx(array))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array, strict=True)


@quietly(max_examples=400)
@given(content=files)
def test_any_file_is_read_whole_or_refused_in_a_sentence(scratch: Path, content: bytes) -> None:
    path = scratch / "file"
    path.write_bytes(content)
    read, refusal = attempt(lambda: read_idx(path))
    if read is None:
        assert refusal.startswith(f"{path}: expected ")
        assert "\n" not in refusal
    else:
        # Nothing was lost and nothing made up: the array says everything that was in the file.
        whole = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        assert read.dtype == np.uint8
        assert idx(read) == whole


@quietly()
@given(name=st.sampled_from(list(MNIST.sha256)), choose=st.data(), packed=st.booleans())
def test_any_set_is_read_whole_or_refused_in_a_sentence(
    scratch: Path, name: str, choose: st.DataObject, packed: bool
) -> None:
    content = choose.draw(mutated(st.just(small()[name])) | st.sampled_from([*small().values()]))
    folder = write(scratch / "set", small() | {name: gzipped(content) if packed else content})
    dataset, refusal = attempt(lambda: load_data(folder, validation=2))
    if dataset is None:
        assert refusal.startswith(str(folder))
        return
    for split in (dataset.train, dataset.validation, dataset.test):
        assert 0 < len(split.images) == len(split.labels)
        assert split.images.shape[1:] == dataset.image_shape
        assert 0 <= split.images.min() <= split.images.max() <= 1
        assert 0 <= split.labels.min() <= split.labels.max() < dataset.n_classes
