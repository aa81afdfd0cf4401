"""Where data are looked for when no folder is named: the variable, the clone, the download."""

import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import deceive
from deceive.common.errors import InputError
from deceive.data.idx import read_idx
from deceive.data.loading import load_data
from deceive.data.source import MNIST, Source
from worlds.files import (
    TEST_IMAGES,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Contents,
    gzipped,
    idx,
    small,
    write,
)


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
    make_set: Callable[..., Path], tiny: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tiny.shipped, small())
    assert load_data(validation=2, source=tiny).folder == tmp_path / "clone/data/tiny"
    monkeypatch.setenv("DECEIVE_DATA", str(make_set()))
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


def test_other_folders_are_not_verified(make_set: Callable[..., Path]) -> None:
    assert load_data(make_set(), validation=2).checksum


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
