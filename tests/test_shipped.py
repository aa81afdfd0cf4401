"""The shipped networks in an installed package, which leaves the weights of some out."""

import json
import shutil
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deceive.common.errors import InputError
from deceive.storage import shipped
from deceive.storage.models import load_card, load_network

CLONE = shipped.shipped_folder()
CARDS = sorted(path.name for path in CLONE.glob("*.json"))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with all cards and the weights of `fast`; the folder of its downloads."""
    models = tmp_path / "package" / "models"
    models.mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(shipped, "_installed_from", lambda: tmp_path / "gone")
    for name in (*CARDS, "fast.safetensors"):
        shutil.copy(CLONE / name, models)
    monkeypatch.setattr(shipped, "_PACKAGE", models.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache" / "deceive" / "networks"


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that is served as the repository."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "mirror"
    (folder / "main" / "models").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(shipped, "MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_all_names_are_known_and_what_is_there_is_taken(installed):
    assert {*shipped.shipped_names(), "draw"} == {name[:-5] for name in CARDS} | {"draw"}
    assert shipped.shipped_weights("fast").parent == shipped.shipped_folder()
    assert load_network("fast").architecture == "fast"
    assert not installed.exists()


def test_a_clone_has_them(installed, tmp_path, monkeypatch):
    clone = tmp_path / "clone" / "models"
    shutil.copytree(CLONE, clone)
    monkeypatch.setattr(shipped, "_installed_from", lambda: clone.parent)
    assert shipped.shipped_weights("draw") == clone / "rounds-030000.safetensors"
    monkeypatch.chdir(clone.parent)
    assert shipped.shipped_weights("study") == Path("models/study.safetensors")
    assert load_network("study").architecture == "study"


def test_where_pip_installed_it_from(monkeypatch):
    said = {"url": "file:///some%20where/deceive", "dir_info": {}}
    for text, folder in ((json.dumps(said), Path("/some where/deceive")), (None, Path())):
        found = SimpleNamespace(read_text=lambda name, text=text: text)
        monkeypatch.setattr(shipped, "distribution", lambda name, found=found: found)
        assert shipped._installed_from() == folder


@pytest.mark.parametrize(("name", "file"), [("study", "study"), ("draw", "rounds-030000")])
def test_what_is_left_out_is_downloaded_once(name, file, installed, mirror, capsys):
    assert load_card(name).command  # needs no download
    assert not installed.exists()
    served = mirror / "main" / "models" / f"{file}.safetensors"
    shutil.copy(CLONE / served.name, served)
    network = load_network(name)
    assert "100%" in capsys.readouterr().err
    shutil.rmtree(mirror)
    again = load_network(name).state_dict()
    assert all(torch.equal(again[key], each) for key, each in network.state_dict().items())
    assert sorted(path.name for path in installed.rglob("*.*")) == [
        f"{file}.json",
        f"{file}.safetensors",
    ]


def test_the_weights_of_its_own_version_come_first(installed, mirror):
    own = mirror / f"v{shipped.__version__}" / "models"
    own.mkdir(parents=True)
    shutil.copy(CLONE / "study.safetensors", own)
    (mirror / "main" / "models" / "study.safetensors").write_bytes(b"newer")
    assert load_network("study").architecture == "study"


def test_other_weights_than_the_cards_are_refused(installed, mirror):
    shutil.copy(CLONE / "fast.safetensors", mirror / "main" / "models" / "study.safetensors")
    with pytest.raises(InputError, match=r"study.safetensors.*failed \(another checksum\)"):
        load_network("study")
    assert list(installed.rglob("*.safetensors")) == []


def test_offline_it_says_where_the_file_goes(installed, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: nothing answers there
        monkeypatch.setattr(shipped, "MIRROR", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(InputError, match=r"when offline, put study\.safetensors") as caught:
            load_network("study")
    said = str(caught.value)
    assert "\n" not in said
    folder = installed / said.rpartition("/")[2]
    assert said.endswith(f"into {folder}")
    shutil.copy(CLONE / "study.safetensors", folder)
    assert load_network("study").architecture == "study"
