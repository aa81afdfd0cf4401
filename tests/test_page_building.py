"""How the page is built, and what it lists."""

import gzip
import json
import shutil
import sys
import threading
import tomllib
import urllib.error
import urllib.request
import zlib

import pytest
import torch

from deceive import InputError
from deceive.cli import main
from deceive.common.locks import LOCK, locked
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import DRAWING
from deceive.storage.models import load_card, load_network
from deceive.storage.shipped import shipped_folder, shipped_names
from deceive.webpage import networks
from deceive.webpage.asked import asked_network
from deceive.webpage.build import CLONE, build
from deceive.webpage.installed import page
from deceive.webpage.light import light_copy
from deceive.webpage.networks import manifest
from deceive.webpage.notebooks import write_notebooks
from deceive.webpage.serving import server
from worlds.graphs import assert_agrees, random_batch

SHOWN = manifest(shipped_folder())["networks"]


def test_the_manifest_says_what_the_cards_say(models_with_rounds):
    said = manifest(models_with_rounds)
    rounds = ["rounds-000000", "rounds-000010"]
    assert sorted(said["networks"]) == ["fast", "judge", *rounds, "study"]
    assert said["rounds"] == [
        {"network": name, "round": number} for name, number in zip(rounds, (0, 10), strict=True)
    ]
    assert (said["default"], said["judge"]) == ("fast", "judge")
    assert said["networks"]["rounds-000010"]["rubbishClass"] == 10
    for name, entry in said["networks"].items():
        card = load_card(models_with_rounds / f"{name}.safetensors")
        assert entry["testAccuracy"] == card.test_accuracy
        assert entry["weights"] == card.weights_sha256
        assert entry["outputs"] == card.n_outputs
        assert entry["round"] == card.round
    # Settings by the names that JavaScript gives them.
    usual, drawing = (said["networks"][name]["ascent"] for name in ("fast", rounds[0]))
    assert usual["stepSize"] == Ascent().step_size
    assert usual["schedule"] is None
    assert drawing["rule"] == "sign"
    assert drawing["schedule"]["leastNoise"] == DRAWING.schedule.least_noise
    assert set(said["rule"]) == {"confidence", "steps", "patience", "growing", "slack"}


def test_one_network_of_the_rounds_alone_has_nothing_to_slide_through(models_with_rounds, tmp_path):
    shutil.copytree(models_with_rounds, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("rounds-000000.*"):
        path.unlink()
    said = manifest(tmp_path)
    assert {one["network"] for one in said["rounds"]} == set(said["networks"])
    assert {one["round"] for one in said["rounds"]} == {None}
    assert said["default"] == "fast"


# What is fetched when a visitor begins to teach.
LATER = ("teach-", "ort-wasm-simd-threaded.asyncify")


@pytest.mark.shipped
def test_the_first_load_and_each_network_are_small(dist):
    listed = json.loads((dist / "networks" / "manifest.json").read_text())["networks"]
    for name, entry in listed.items():
        assert (dist / "networks" / entry["file"]).stat().st_size == entry["bytes"]
        assert entry["bytes"] <= (4.7e6 if name == "one" else 2e6)  # it is several
    other = [
        path
        for path in dist.rglob("*")
        if path.is_file()
        and path.parent.name not in ("networks", "notebooks", "teach")
        and not path.name.startswith(LATER)
    ]
    first = sum(path.stat().st_size for path in other)
    assert first + listed["fast"]["bytes"] + listed["judge"]["bytes"] <= 15e6
    assert not [path for path in other if path.suffix == ".wasm"]


@pytest.mark.shipped
@pytest.mark.parametrize(
    "name", [name for name in shipped_names() if name in SHOWN and "rounds" not in name]
)
def test_its_networks_answer_as_torch_does(dist, name):
    network, path = asked_network(shipped_folder(), name), dist / "networks" / f"{name}.onnx"
    for number in (1, 10, 64):
        batch = random_batch(network, network.image_shape, number, number)
        noise = torch.rand(number) if network.hears_noise else None
        assert_agrees(path, network, *batch, noise=noise)


def test_what_a_visitor_teaches_is_small(dist):
    lesson = json.loads((dist / "teach" / "lesson.json").read_text())
    files = [dist / "teach" / name for name in lesson["files"].values()]
    assert sum(path.stat().st_size for path in files) <= 1e6
    assert lesson["settings"]["candidates"] == 64


def test_a_network_under_two_names_is_shown_once():
    weights = [entry["weights"] for entry in SHOWN.values()]
    assert len(weights) == len(set(weights)) > 1
    assert set(manifest(shipped_folder())["menu"]) <= set(SHOWN)


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def the_clones(name):
    return shipped_folder() / f"{name}.safetensors"


def test_a_packed_page_is_the_same_and_small(dist, tmp_path):
    packed = dist.parent / "packed"
    with page(print, clone=tmp_path, brought=packed) as (folder, later):
        names = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        whole = {path.relative_to(dist).as_posix() for path in dist.rglob("*") if path.is_file()}
        left_out = whole - names - later.keys()  # the runtime for graphics cards, the notebooks
        assert {name.partition("/")[0] for name in left_out} == {"assets", "notebooks"}
        assert len([name for name in left_out if "asyncify" in name]) == 1
        changed = {"build.json", "networks/manifest.json"}
        for name in names - changed:
            assert (folder / name).read_bytes() == (dist / name).read_bytes(), name
        for name, made in later.items():
            assert made() == (dist / name).read_bytes(), name
        assert not left_out & {*json.loads((folder / "build.json").read_text())["files"]}
        said = json.loads((folder / "networks" / "manifest.json").read_text())
        assert said["notebooksAt"].endswith("/tutorials/")
    assert not folder.exists()
    assert sum(path.stat().st_size for path in packed.rglob("*") if path.is_file()) <= 6.4e6


def test_the_wheel_holds_few_bytes_beside_the_runtime(dist):
    """The runtime takes 2.2 MB in the wheel, and the wheel 8 MB at most."""
    hooks = tomllib.loads((CLONE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    networks = hooks["targets"]["wheel"]["hooks"]["custom"]["networks"]
    assert set(networks) <= set(shipped_names())
    files = [path for path in (dist.parent / "packed").rglob("*") if "wasm" not in path.name]
    files += (CLONE / "src" / "deceive").rglob("*")
    files += [the_clones(name) for name in networks]
    files = [path for path in files if path.is_file() and path.suffix != ".pyc"]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) <= 5.9e6


def test_a_packed_page_without_some_weights_says_so_when_they_are_asked_for(dist, tmp_path):
    packed, told = dist.parent / "packed", []

    def weights_of(name):
        if name == "study":
            raise InputError(f"{name}: expected to download it")
        return the_clones("judge")

    with (
        page(print, tmp_path, packed, weights_of) as (folder, later),
        server(folder, later=later, failed=told.append) as one,
    ):
        threading.Thread(target=one.serve_forever).start()
        url = f"http://127.0.0.1:{one.server_port}/networks/"
        assert len(urllib.request.urlopen(f"{url}judge.onnx").read()) > 8e5
        for name in ("study", "fast"):
            with pytest.raises(urllib.error.HTTPError, match="it has to be downloaded") as caught:
                urllib.request.urlopen(f"{url}{name}.onnx")
            assert caught.value.code == 503
            caught.value.close()
        one.shutdown()
    assert told[0] == "study: expected to download it"
    assert "expected fast.onnx as it was built" in told[1]


def test_a_package_without_the_page_or_with_a_damaged_one_says_so(dist, tmp_path):
    refused = r"page: expected a clone .*, or a package that brings the page"
    with pytest.raises(InputError, match=refused), page(print, tmp_path, tmp_path / "none"):
        pass
    damaged = shutil.copytree(dist.parent / "packed", tmp_path / "page")
    (damaged / "teach" / "digits.xz").write_bytes(b"no longer")
    with pytest.raises(InputError, match="as it was installed"), page(print, tmp_path, damaged):
        pass


def test_opened_as_a_file_it_has_its_style_and_says_what_it_needs(dist, browser):
    opened = browser.new_page()
    opened.goto((dist / "index.html").as_uri())
    paper = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(247, 245, 240)"
    assert "a page that comes from a web server" in opened.inner_text("#boot")
    opened.close()


def test_text_is_sent_compressed_to_those_who_take_it(site):
    plain = urllib.request.urlopen(site).read()
    asked = urllib.request.Request(site, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        content = answer.read()
    assert gzip.decompress(content) == plain
    assert len(content) < len(plain) / 2


@pytest.mark.shipped
def test_the_light_copy_answers_as_the_network_but_for_rounding(dist):
    content, described = light_copy(load_network("fast"))
    assert (dist / "networks" / "first.light").read_bytes() == content
    assert len(content) <= 7e5
    assert [layer["rectified"] for layer in described["layers"]] == [True] * 4 + [False]
    assert light_copy(load_network("study")) is None  # it pools


def test_what_is_up_to_date_is_not_built_again(dist):
    stages = []
    assert build(stages.append) == dist
    assert stages == []


def test_the_command_builds_and_says_where(dist, capsys):
    with pytest.raises(SystemExit) as end:
        main(["page", "--build-only", "--json"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(dist)}


def test_the_command_serves_and_opens(dist, capsys, monkeypatch):
    opened = []

    def look(url):
        with urllib.request.urlopen(url) as answer:
            opened.append((url, answer.read()))

    def look_and_leave(url):
        # The server answers as soon as it runs; meanwhile the question waits in its queue.
        def ask():
            look(url)
            running[0].shutdown()

        threading.Thread(target=ask).start()

    running = []

    def keep(*arguments, **named):
        running.append(server(*arguments, **named))
        return running[0]

    monkeypatch.setattr("deceive.webpage.serving.server", keep)
    monkeypatch.setattr("webbrowser.open", look_and_leave)
    with pytest.raises(SystemExit) as end:
        main(["page", "--json"])
    assert end.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert opened == [(said["url"], (dist / "index.html").read_bytes())]
    assert said["url"].startswith("http://127.0.0.1:")


def test_files_are_served_as_what_they_are(site):
    for name, kind in (
        ("networks/fast.onnx", "application/octet-stream"),
        ("networks/manifest.json", "application/json"),
        ("icon.svg", "image/svg+xml"),
        ("", "text/html"),
    ):
        with urllib.request.urlopen(site + name) as answer:
            assert answer.headers["Content-Type"].split(";")[0] == kind


def test_outside_a_clone_it_says_so(tmp_path):
    with pytest.raises(InputError, match="page: expected the clone with its folder web"):
        build(clone=tmp_path)


@pytest.fixture
def unbuilt(tmp_path, monkeypatch):
    """A clone with nothing but the page's package in it, and no programs to be found."""
    monkeypatch.setattr("deceive.webpage.build.write_lesson", lambda folder, report: None)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "package.json").write_text("{}")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda name: _which(programs, name))
    return programs


def _which(folder, name):
    return str(folder / name) if (folder / name).exists() else None


def _program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("unbuilt")
def test_without_node_it_says_so(tmp_path):
    with pytest.raises(InputError, match=r"page: expected Node.js 20.19 or newer, .*no node"):
        build(clone=tmp_path)


def test_an_old_node_and_a_failing_npm_are_one_sentence(unbuilt, tmp_path):
    _program(unbuilt / "npm", "echo nothing works; exit 1")
    _program(unbuilt / "node", "echo v18.1.0")
    with pytest.raises(InputError, match=r"expected Node.js 20.19 or newer, got v18.1.0"):
        build(clone=tmp_path)
    _program(unbuilt / "node", "echo v22.1.0")
    (tmp_path / "web" / "package-lock.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"expected `npm ci .*` to succeed; it printed: nothing works"
    ):
        build(clone=tmp_path)
    assert not (tmp_path / "web" / "dist").exists()


def built_by(programs, monkeypatch):
    """As if one network were exported in no time, and npm built a page of one file."""
    _program(programs / "node", "echo v22.1.0")
    builds = "mkdir -p dist && cp -r public/. dist && echo page > dist/index.html"
    _program(programs / "npm", f'if [ "$1" = run ]; then {builds}; fi')
    (programs.parent / "web" / "package-lock.json").write_text("{}")
    models = programs.parent / "models"
    models.mkdir()
    for suffix in (".json", ".safetensors"):
        shutil.copy(shipped_folder() / f"study{suffix}", models)
    (programs.parent / "web" / "notebook.html.jinja").touch()
    monkeypatch.setattr(networks, "exported", lambda network, templates: b"graph")
    monkeypatch.setattr("deceive.webpage.build.write_lesson", lambda *places: None)


def test_what_an_earlier_build_left_damaged_is_made_anew(unbuilt, tmp_path, monkeypatch):
    built_by(unbuilt, monkeypatch)
    web, stages = tmp_path / "web", []
    networks = web / "public" / "networks" / "manifest.json"
    build(clone=tmp_path)
    listed, manifest = json.loads((web / "dist" / "build.json").read_text()), networks.read_text()
    assert {"index.html", "networks/study.onnx"} < {*listed["files"]}
    build(stages.append, tmp_path)
    assert stages == []
    for damage in (b"", b"{", b"\xff", b"3", b"[" * 100_000, b'{"networks": {"study": 3}}'):
        for path in (web / "dist" / "build.json", web / "node_modules" / ".deceive.json", networks):
            path.write_bytes(damage)
        build(stages.append, tmp_path)
        assert stages[-1] == "building the page"
        assert json.loads((web / "dist" / "build.json").read_text()) == listed
        assert networks.read_text() == manifest
    (web / "dist" / "index.html").unlink()
    build(clone=tmp_path)
    assert (web / "dist" / "index.html").is_file()


def test_one_command_builds_at_a_time(unbuilt, tmp_path, monkeypatch):
    built_by(unbuilt, monkeypatch)
    web = tmp_path / "web"
    with locked(web, "held"):
        with pytest.raises(InputError, match=r"page: expected no other command to build .*web now"):
            build(clone=tmp_path)
        assert not (web / "dist").exists()
    build(clone=tmp_path)
    with locked(web, "held"):
        build(clone=tmp_path)  # it is up to date
    assert not (web / LOCK).exists()


def test_what_the_build_lacks_is_one_sentence(unbuilt, tmp_path, monkeypatch):
    built_by(unbuilt, monkeypatch)
    _program(unbuilt / "npm", "exit 0")
    with pytest.raises(InputError, match=r"page: expected npm to build .*index.html, got none"):
        build(clone=tmp_path)
    _program(unbuilt / "npm", "exit 7")
    with pytest.raises(
        InputError, match=r"expected `npm run .*` to succeed; it printed: exit code 7"
    ):
        build(clone=tmp_path)
    _program(unbuilt / "node", "exit 1")
    with pytest.raises(InputError, match=r"expected `node --version` to succeed; it printed: exit"):
        build(clone=tmp_path)
    (unbuilt / "node").write_text("no program")
    (unbuilt / "node").chmod(0o644)
    with pytest.raises(InputError, match=r"expected `node --version` to run; "):
        build(clone=tmp_path)
    (tmp_path / "web" / "package-lock.json").unlink()
    _program(unbuilt / "node", "echo v22.1.0")
    with pytest.raises(InputError, match=r"expected a readable clone .*package-lock.json"):
        build(clone=tmp_path)


def test_a_notebook_that_is_none_is_one_sentence(unbuilt, tmp_path, monkeypatch):
    built_by(unbuilt, monkeypatch)
    (tmp_path / "notebooks").mkdir()
    for content in ("{", "[]", '{"cells": []}', '{"cells": [{}]}', "[" * 100_000):
        (tmp_path / "notebooks" / "one.ipynb").write_text(content)
        with pytest.raises(InputError, match=r"one.ipynb: expected a notebook with a heading"):
            build(clone=tmp_path)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    with pytest.raises(InputError, match=r"pip install 'deceive\[page\]'"):
        write_notebooks(tmp_path, tmp_path, lambda stage: None)


def test_the_lock_file_names_no_host():
    lock = json.loads((CLONE / "web" / "package-lock.json").read_text())
    packages = [one for path, one in lock["packages"].items() if path]
    assert packages
    assert all("resolved" not in one and "integrity" in one for one in packages)
