"""The documentation's site: it builds without a warning, and works offline, in any folder."""

import importlib.util
import re
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import tyro
from tools import command_line

import deceive
import deceive.auditing
import deceive.guarding
from worlds.browser import unavailable, until

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def build(source: Path, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """As `make site` does."""
    if importlib.util.find_spec("sphinx") is None:
        unavailable("the site is built with Sphinx: `pip install -e '.[docs]'`")
    line = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    line += ["-c", str(DOCS), "-d", str(out.with_name("doctrees")), *flags, str(source), str(out)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site, with a page to play with in it."""
    folder = tmp_path_factory.mktemp("site")
    play = folder / "page"
    play.mkdir()
    (play / "index.html").write_text("<!doctype html><title>Play</title>")
    ran = build(DOCS, folder / "deceive", "-D", f"play_folder={play}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "deceive"


class Page(HTMLParser):
    """What a page links to, what it fetches by itself, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.fetched, self.anchors = set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag == "link" and given.get("rel") not in ("next", "prev", "index", "search"):
            self.fetched.add(given["href"])
        elif tag in ("img", "script", "iframe", "source", "video") and "src" in given:
            self.fetched.add(given["src"])


@pytest.fixture(scope="module")
def pages(built):
    return {path: Page(path) for path in built.rglob("*.html")}


def test_every_link_and_picture_leads_somewhere_in_whatever_folder_the_site_lies(built, pages):
    for path, page in pages.items():
        for each in page.links | page.fetched:
            address, anchor = urldefrag(each)
            address = address.partition("?")[0]
            if re.match(r"(https?|mailto|data):", address) and each in page.links:
                continue
            assert not address.startswith("/"), (path, each)
            target = (path.parent / unquote(address)).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_relative_to(built), (path, each)
            assert target.is_file(), (path, each)
            if anchor and target in pages:
                assert unquote(anchor) in pages[target].anchors, (path, each)


def test_no_page_fetches_anything_from_another_host(built, pages):
    assert {each for page in pages.values() for each in page.fetched if ":" in each} == set()
    for path in built.rglob("*.css"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*[\"']?(https?:)?//", text), path


def test_notebooks_formulas_and_pictures_are_in_it(built):
    page = (built / "tutorials" / "cnn_training.html").read_text(encoding="utf-8")
    assert "<math" in page
    assert "MathJax" not in page
    assert len(re.findall(r'<img [^>]*src="\.\./_images/', page)) >= 6


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(built):
    """Where a server has the site in the folder `/deceive/`."""
    one = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built.parent)))
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{one.server_port}/deceive/"
    one.shutdown()
    one.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_reader_searches_and_plays(browser, address, scheme):
    page = browser.new_page(color_scheme=scheme)
    asked, errors = [], []
    page.on("request", lambda each: asked.append(each.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address + "how-to/audit.html")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
    page.fill("input[name=q]", "gibberish")
    page.press("input[name=q]", "Enter")
    until(page, "document.querySelectorAll('#search-results li a').length > 3")
    page.click("text=Play in the browser")
    assert page.url == address + "play/index.html"
    page.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text(
        "# Start\n\n[a](other.md#nowhere) [b](missing.md) [c](../../nothing.txt)\n"
        "![d](nothing.png)\n[e](other.md)\n"
    )
    (source / "other.md").write_text("# Other\n")
    (source / "lost.md").write_text("# In no list\n")
    ran = build(source, tmp_path / "out")
    assert ran.returncode != 0
    for each in ("nowhere", "missing.md", "nothing.txt", "nothing.png", "lost.md"):
        assert each in ran.stderr
    assert ran.stderr.count("WARNING") == 6  # missing.md, also in the sidebar


def test_every_public_name_has_its_place_in_the_reference():
    text = "".join(path.read_text() for path in (DOCS / "reference" / "api").glob("*.md"))
    found = re.findall(r"^\.\. (?:auto\w+|py:data):: deceive\.(\S+)$", text, re.MULTILINE)
    of_packages = {
        f"{package.__name__.removeprefix('deceive.')}.{name}"
        for package in (deceive.auditing, deceive.guarding)
        for name in package.__all__
        if name not in deceive.__all__
    }
    assert sorted(found) == sorted({*deceive.__all__} | of_packages)
    for name in found:
        assert f"## `{name.rpartition('.')[2]}`\n" in text


@pytest.mark.skipif(
    [*map(int, tyro.__version__.split(".")[:3])] < [1, 0, 17],
    reason="earlier versions of tyro leave positional arguments out of the usage",
)
def test_the_page_of_the_command_line_is_what_the_commands_say():
    assert command_line.PAGE.read_text(encoding="utf-8") == command_line.page()
