"""Data: the real files as they should be, and every way in which others can be wrong."""

import gzip
import hashlib
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import deceive
from deceive.common.errors import InputError
from deceive.data import idx as reading
from deceive.data.idx import read_idx
from deceive.data.loading import Dataset, load_data
from deceive.data.source import MNIST, Source
from worlds.files import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Bytes,
    Contents,
    gzipped,
    idx,
    small,
    write,
)

T = TypeVar("T")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load_data(MNIST.shipped)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the tiny data set, with some of its files' contents replaced."""

    def _make(changes: Contents | None = None) -> Path:
        return write(tmp_path / "set", small() | (changes or {}))

    return _make


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that hypothesis may use over and over."""
    return tmp_path_factory.mktemp("scratch")


# --- MNIST itself ---------------------------------------------------------------------------


def test_mnist_is_cut_in_three(mnist: Dataset) -> None:
    assert [len(mnist.train), len(mnist.validation), len(mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.n_classes == 10
    assert mnist.image_shape == (1, 28, 28)
    assert mnist.folder == MNIST.shipped
    for split in (mnist.train, mnist.validation, mnist.test):
        assert split.images.shape == (len(split), 1, 28, 28)
        assert split.images.dtype == torch.float32
        assert (split.images.min().item(), split.images.max().item()) == (0, 1)
        assert split.labels.shape == (len(split),)
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))


def test_the_first_training_images(mnist: Dataset) -> None:
    part = mnist.first(100)
    assert torch.equal(part.train.images, mnist.train.images[:100])
    assert torch.equal(part.train.labels, mnist.train.labels[:100])
    assert part.test is mnist.test
    assert part.validation is mnist.validation
    assert len(mnist.first(10**6).train) == 55_000


def test_mnist_is_mnist(mnist: Dataset) -> None:
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.validation.labels[-3:].tolist() == [5, 6, 8]
    assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert mnist.train.images.mean().item() == pytest.approx(0.1307, abs=2e-4)


def test_mnist_keeps_its_order_and_its_levels(mnist: Dataset) -> None:
    levels = torch.from_numpy(read_idx(MNIST.shipped / f"{TRAIN_IMAGES}.gz"))
    for split, part in ((mnist.train, levels[:55_000]), (mnist.validation, levels[55_000:])):
        assert torch.equal(split.images[::97, 0] * 255, part[::97].float())


def test_the_checksum_identifies_the_data_and_not_the_packing(
    mnist: Dataset, make: Callable[..., Path], tmp_path: Path
) -> None:
    assert mnist.checksum == hashlib.sha256("".join(MNIST.sha256.values()).encode()).hexdigest()

    plain = load_data(make(), validation=2)
    packed = write(tmp_path / "packed", {f"{n}.gz": gzipped(c) for n, c in small().items()})
    digests = "".join(hashlib.sha256(content).hexdigest() for content in small().values())
    assert plain.checksum == hashlib.sha256(digests.encode()).hexdigest()
    assert plain.checksum == load_data(packed, validation=2).checksum
    assert plain.checksum == load_data(packed, validation=3).checksum
    assert plain.checksum != mnist.checksum


# --- folders like it ------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", "{}.gz", "dotted", "dotted.gz"])
@pytest.mark.parametrize("pack", [bytes, gzipped])
def test_any_spelling_packed_or_not_whatever_the_name_says(
    spelling: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    def spell(name: str) -> str:
        return spelling.format(name).replace("dotted", name.replace("-idx", ".idx"))

    write(tmp_path, {spell(name): pack(content) for name, content in small().items()})
    dataset = load_data(str(tmp_path), validation=2)
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [10, 2, 5]
    assert dataset.image_shape == (1, 3, 4)
    assert dataset.n_classes == 4
    assert dataset.train.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert dataset.validation.labels.tolist() == [2, 3]
    assert dataset.folder == tmp_path


def test_classes_are_counted_in_both_halves(make: Callable[..., Path]) -> None:
    last = idx(np.array([0, 0, 0, 0, 4], np.uint8))
    assert load_data(make({TEST_LABELS: last}), validation=2).n_classes == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda labels: labels + 1, r"{train}: .* labels up to 4 without 0; renumber the"),
        (lambda labels: labels * 3, r"{train}: .* labels up to 9 without 1 to 2, 4 to 5, 7 to"),
        (lambda labels: labels * 2 + 1, r"up to 7 without 0, 2, 4, 6; renumber the classes"),
        (lambda labels: labels * 7, r"up to 21 without 1 to 6, 8 to 13, 15 to 20; renumber"),
        (lambda labels: np.append(labels[:-1], 255), r"up to 255 without 4 to 254; .* 255\)"),
    ],
)
def test_labels_are_classes_without_a_gap(make, change, said) -> None:
    labels = {TRAIN_LABELS: np.arange(12) % 4, TEST_LABELS: np.arange(5) % 3}
    changed = {name: idx(change(of).astype(np.uint8)) for name, of in labels.items()}
    folder = make(changed)
    with pytest.raises(InputError, match=said.format(train=TRAIN_LABELS)):
        load_data(folder, validation=2)
    # Labels that are never read may be anything.
    assert len(load_data(folder, validation=2, any_labels=True).test) == 5


def test_a_stray_label_among_the_test_images_is_told_by_its_file(make) -> None:
    stray = idx(np.array([0, 1, 2, 0, 255], np.uint8))
    with pytest.raises(InputError, match=f"{TEST_LABELS}: .* without 4 to 254"):
        load_data(make({TEST_LABELS: stray}), validation=2)


def test_images_with_channels(tmp_path: Path) -> None:
    dataset = load_data(write(tmp_path, small(size=(3, 8, 6))), validation=2)
    assert dataset.image_shape == (3, 8, 6)
    assert dataset.test.images.shape == (5, 3, 8, 6)


def test_one_training_image_is_enough(make: Callable[..., Path]) -> None:
    assert len(load_data(make(), validation=11).train) == 1


def test_folders_with_the_files_names_are_passed_over(make: Callable[..., Path]) -> None:
    folder = make()
    (folder / TRAIN_IMAGES).rename(folder / TRAIN_IMAGES.replace("-idx", ".idx"))
    (folder / TRAIN_IMAGES).mkdir()
    assert len(load_data(folder, validation=2).train) == 10


def test_a_gzip_file_of_several_members(tmp_path: Path) -> None:
    content = small()[TRAIN_IMAGES]
    path = tmp_path / "members"
    path.write_bytes(gzipped(content[:50]) + gzipped(b"") + gzipped(content[50:]))
    assert idx(read_idx(path)) == content


# --- what can be wrong with one file --------------------------------------------------------

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
    case: str, make: Callable[..., Path]
) -> None:
    content, message = DAMAGED[case]
    folder = make({TRAIN_LABELS: content})
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


# --- what can be wrong with four ------------------------------------------------------------


def test_missing_folders_and_files(make: Callable[..., Path], tmp_path: Path) -> None:
    folder = make()
    with pytest.raises(InputError, match=r"absent: expected a folder .*, found nothing"):
        load_data(tmp_path / "absent")
    with pytest.raises(InputError, match=r"expected a folder .*, found something else"):
        load_data(folder / TRAIN_IMAGES)
    with pytest.raises(InputError, match=r"expected a folder .*, found nothing"):
        load_data("\0")
    with pytest.raises(InputError, match=r"expected a readable folder; File name too long"):
        load_data("x" * 5000)
    (folder / TEST_LABELS).unlink()
    with pytest.raises(InputError, match=rf"{TEST_LABELS}: expected this file.* found neither"):
        load_data(folder)


def shaped(*shape: int) -> bytes:
    return idx(np.zeros(shape, np.uint8))


MISMATCHED = {
    "too few labels": ({TRAIN_LABELS: shaped(11)}, TRAIN_LABELS, "expected 12 labels.* got 11"),
    "too few images": ({TEST_IMAGES: shaped(4, 3, 4)}, TEST_LABELS, "expected 4 labels.* got 5"),
    "images as labels": (
        {TRAIN_LABELS: shaped(12, 3, 4)},
        TRAIN_LABELS,
        "expected labels .1 dimension., got 12×3×4",
    ),
    "labels as images": (
        {TEST_IMAGES: shaped(5)},
        TEST_IMAGES,
        "expected images .3 or 4 dimensions., got 5",
    ),
    "flat images": (
        {TRAIN_IMAGES: shaped(12, 12)},
        TRAIN_IMAGES,
        "expected images .3 or 4 dimensions., got 12×12",
    ),
    "channels last": (
        {TRAIN_IMAGES: shaped(12, 32, 32, 3), TEST_IMAGES: shaped(5, 32, 32, 3)},
        TRAIN_IMAGES,
        "expected channels first, as in 60000×3×32×32, got 12×32×32×3; reorder "
        r"them with numpy's transpose\(0, 3, 1, 2\)",
    ),
    "other sizes": (
        {TEST_IMAGES: shaped(5, 4, 3)},
        TEST_IMAGES,
        f"expected images of 1×3×4 as in {TRAIN_IMAGES}, got 1×4×3",
    ),
}


@pytest.mark.parametrize("case", MISMATCHED)
def test_files_that_do_not_fit_each_other(case: str, make: Callable[..., Path]) -> None:
    changes, name, message = MISMATCHED[case]
    with pytest.raises(InputError, match=rf"{name}: {message}$"):
        load_data(make(changes), validation=2)


def test_something_must_be_left_to_train_on(make: Callable[..., Path]) -> None:
    folder = make()
    with pytest.raises(InputError, match=r"at least 13 images, 12 of them for validation, got 12"):
        load_data(folder, validation=12)
    with pytest.raises(InputError, match=r"images.*: expected at least 5,001 images.* got 12"):
        load_data(folder)
    with pytest.raises(InputError, match="validation: expected a whole number of at least 1"):
        load_data(folder, validation=0)


# --- where it looks -------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, without a variable that names the data."""
    monkeypatch.delenv("DECEIVE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def tiny(tmp_path: Path) -> Source:
    """The tiny data set as a source: neither in a clone nor in the cache, and not on the mirror."""
    return Source(
        name="Tiny",
        sha256={n: hashlib.sha256(content).hexdigest() for n, content in small().items()},
        md5={n: hashlib.md5(content).hexdigest() for n, content in downloads().items()},
        mirror="http://127.0.0.1:9/",
        clone=tmp_path / "clone",
        cache=tmp_path / "cache",
    )


def downloads() -> Contents:
    return {f"{name}.gz": gzipped(content) for name, content in small().items()}


@pytest.mark.usefixtures("elsewhere")
def test_the_variable_comes_before_the_clone(
    make: Callable[..., Path], tiny: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tiny.shipped, small())
    assert load_data(validation=2, source=tiny).folder == tmp_path / "clone/data/tiny"
    monkeypatch.setenv("DECEIVE_DATA", str(make()))
    assert load_data(validation=2, source=tiny).folder == tmp_path / "set"
    monkeypatch.setenv("DECEIVE_DATA", "")
    assert load_data(validation=2, source=tiny).folder == tmp_path / "clone/data/tiny"


def test_the_working_directory_may_be_the_clone(elsewhere: Path, tiny: Source) -> None:
    write(elsewhere / "data" / "tiny", small())
    assert load_data(validation=2, source=tiny).folder == Path("data/tiny")


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_shipped_files_are_verified(given: bool, link: bool, elsewhere: Path, tiny: Source) -> None:
    folder = write(tiny.shipped, small() | {TRAIN_IMAGES: idx(np.ones((12, 3, 4), np.uint8))})
    if link:
        (elsewhere / "link").symlink_to(folder)
        folder = elsewhere / "link"
    said = tiny.sha256[TRAIN_IMAGES][:12]
    with pytest.raises(InputError, match=rf"{TRAIN_IMAGES}: expected Tiny's own .*{said}…"):
        load_data(folder if given else None, validation=2, source=tiny)


def test_one_changed_pixel_of_mnist_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(MNIST.shipped, tmp_path / "data/mnist")
    mnist = replace(MNIST, clone=tmp_path)
    folder = mnist.shipped
    changed = read_idx(folder / f"{TEST_IMAGES}.gz")
    changed[5000, 14, 14] ^= 1
    (folder / f"{TEST_IMAGES}.gz").write_bytes(gzip.compress(idx(changed), 1))
    with pytest.raises(InputError, match=rf"{TEST_IMAGES}.gz: expected MNIST's own file"):
        load_data(folder, source=mnist)


def test_other_folders_are_not_verified(make: Callable[..., Path]) -> None:
    assert load_data(make(), validation=2).checksum


# --- the download ---------------------------------------------------------------------------


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def mirrored(tmp_path: Path, tiny: Source) -> Iterator[tuple[Path, Source]]:
    """A folder that is served over HTTP, and a source there.

    Where there is a file `cut`, half of the test images is served.
    """

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def copyfile(self, source, outputfile) -> None:  # type: ignore[no-untyped-def]
            content = source.read()
            half = self.path.endswith(TEST_IMAGES + ".gz") and (folder / "cut").exists()
            outputfile.write(content[: len(content) // 2] if half else content)

    folder = tmp_path / "mirror"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, replace(tiny, mirror=f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("elsewhere")
def test_without_a_clone_mnist_is_downloaded_once(
    mirrored: tuple[Path, Source], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror, source = mirrored
    write(mirror, downloads())
    dataset = load_data(validation=2, source=source)
    assert len(dataset.train) == 10
    assert dataset.folder == tmp_path / "cache"
    assert files_in(tmp_path / "cache") == sorted(downloads())
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err

    shutil.rmtree(mirror)
    assert load_data(validation=2, source=source).checksum == dataset.checksum


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("accident", "message"),
    [
        ("cut", "ChunkedEncodingError"),
        ("changed", "it has another checksum"),
        ("absent", "HTTPError"),
    ],
)
def test_a_download_that_fails_leaves_nothing_half_done(
    accident: str, message: str, mirrored: tuple[Path, Source], tmp_path: Path
) -> None:
    mirror, source = mirrored
    name = f"{TEST_IMAGES}.gz"
    write(mirror, downloads() | ({name: b"another"} if accident == "changed" else {}))
    if accident == "absent":
        (mirror / name).unlink()
    (mirror / accident).touch()
    with pytest.raises(InputError, match=rf"{name}: expected to download .*{message}.*--data"):
        load_data(validation=2, source=source)
    assert files_in(tmp_path / "cache") == sorted([f"{TRAIN_IMAGES}.gz", f"{TRAIN_LABELS}.gz"])


@pytest.mark.usefixtures("elsewhere")
def test_offline_it_names_the_way_out(tiny: Source, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: nothing answers there
        source = replace(tiny, mirror=f"http://127.0.0.1:{unused.getsockname()[1]}/")
        with pytest.raises(InputError, match=r"ConnectionError.*offline.*--data$") as caught:
            load_data(source=source)
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path / "cache") == []


def test_pooch_is_imported_only_to_download() -> None:
    code = "import sys, deceive.data.loading; sys.exit('pooch' in sys.modules)"
    source = str(Path(deceive.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": source}, check=True
    )


# --- any bytes at all -----------------------------------------------------------------------

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
