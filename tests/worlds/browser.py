"""The page in a real browser: Debian's `chromium`, Chrome, or Playwright's own.

Fixtures that build, serve and open it, and what a visitor does there.
"""

import io
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deceive.common.errors import InputError
from deceive.fooling.drawing import DRAWING
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_card, save_network
from deceive.storage.shipped import shipped_folder
from deceive.webpage.build import build
from deceive.webpage.built import write_list
from deceive.webpage.networks import write_networks
from deceive.webpage.serving import server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
CHANCE = "let chance = 0; Math.random = () => (chance = (chance + 0.6180339887) % 1)"
DRAW_SAID = "document.getElementById('draw-said').textContent"
TOLD = pytest.mark.tolerates_errors  # the page is made to fail, and may say so in the console


def unavailable(what: str) -> None:
    """Skip, with a line that says how to get it; in continuous integration that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder of the built page."""
    if shutil.which("npm") is None:
        unavailable("the page is built with Node.js 20.19 or newer: https://nodejs.org")
    while True:
        try:
            return build()
        except InputError as error:  # another worker of pytest-xdist builds it
            if "no other command to build" not in str(error):
                raise
            time.sleep(1)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves the folder of a built page; gives its URL."""
    running = []

    def start(folder: Path) -> str:
        one = server(folder)
        threading.Thread(target=one.serve_forever, daemon=True).start()
        running.append(one)
        return f"http://127.0.0.1:{one.server_port}/"

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


@pytest.fixture(scope="session")
def site(dist: Path, serve: Callable[[Path], str]) -> str:
    """The URL of the built page."""
    return serve(dist)


@pytest.fixture(scope="session")
def models_with_rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models in which two networks went through rounds: they draw, and are untrained.

    Their answers depend on the noise that they are told of.
    """
    folder = tmp_path_factory.mktemp("models")
    for name in ("fast", "judge", "study"):
        for suffix in (".json", ".safetensors"):
            shutil.copy(shipped_folder() / f"{name}{suffix}", folder)
    for number in (10, 0):
        torch.manual_seed(number)
        network = Classifier("draw", 11).eval()
        last = network.get_parameter("body.noise.2.weight")
        nn.init.normal_(last, std=0.3)
        update = {"architecture": "draw", "n_outputs": 11, "rubbish_class": 10}
        update |= {"round": number, "ascent": DRAWING, "test_accuracy": 0.9 + number / 1000}
        card = load_card("fast").model_copy(update=update)
        save_network(network, folder / f"rounds-{number:06d}.safetensors", card)
    return folder


@pytest.fixture(scope="session")
def site_with_rounds(
    dist: Path,
    serve: Callable[[Path], str],
    models_with_rounds: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The page, built with those."""
    folder = tmp_path_factory.mktemp("site") / "dist"
    shutil.copytree(dist, folder)
    write_networks(models_with_rounds, folder / "networks", {}, lambda stage: None)
    write_list(folder, sources="")
    return serve(folder)


@pytest.fixture(scope="session")
def without_rounds(dist: Path) -> dict[str, dict[str, Any]]:
    """Routes to a page in whose panel 3 are networks that never went through any."""
    listed = json.loads((dist / "networks" / "manifest.json").read_text())
    plain = [name for name, one in listed["networks"].items() if one["round"] is None]
    listed["rounds"] = [{"network": name, "round": None} for name in plain]
    return {"**/manifest.json": {"json": listed}}


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium, for all tests."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("the page is tested with Playwright: `pip install playwright`")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as driver:
        if path is None and not Path(driver.chromium.executable_path).exists():
            unavailable(
                "no browser: `apt-get install chromium` or `.venv/bin/playwright install chromium`"
            )
        found = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()


@pytest.fixture
def visit(
    request: pytest.FixtureRequest, browser: "Browser", site: str
) -> Iterator[Callable[..., "Page"]]:
    """Opens the page; when the test is over, nothing may have gone wrong or left the origin."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    urls: list[str] = []
    origin = [site]

    def go(
        url: str = site,
        ready: bool = True,
        routes: dict[str, dict[str, Any]] | None = None,
        script: str | None = None,
        **settings: Any,
    ) -> "Page":
        origin.append(url)
        context = browser.new_context(reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: errors.extend([said.text] * (said.type == "error")))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda asked: urls.append(asked.url))
        for pattern, answer in (routes or {}).items():
            page.route(pattern, partial(_answer, answer))
        page.add_init_script(f"(() => {{ {CHANCE} }})()")  # the same seeds in every run
        if script:
            page.add_init_script(script)
        page.goto(url)
        if ready:
            page.wait_for_selector("html[data-ready]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert [url for url in urls if not url.startswith((*origin, "blob:", "data:"))] == []
    if request.node.get_closest_marker("tolerates_errors") is None:
        assert errors == []


def _answer(answer: dict[str, Any], route: "Route") -> None:
    route.fulfill(**answer)


def until(page: "Page", expression: str) -> None:
    """Wait until it is true; Playwright's own way evaluates text in the page, which forbids it."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} did not come true"
        page.wait_for_timeout(20)


def stroke(page: "Page", *points: tuple[float, float]) -> None:
    """Draw through points given as shares of the drawing area."""
    box = page.locator("#pad").bounding_box()
    assert box is not None
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def draw_one(page: "Page") -> None:
    """Draw a 1, and wait until it is read."""
    page.locator("#pad").scroll_into_view_if_needed()
    stroke(page, (0.52, 0.15), (0.5, 0.85))
    until(page, "document.getElementById('draw-said').textContent.startsWith('It reads')")


def choose_network(page: "Page", name: str) -> None:
    """Choose a network in panel 2, also one that the menu shows only when asked."""
    if page.locator(f"#deceive-network option[value='{name}']").count() == 0:
        page.click("#deceive-more")
    page.select_option("#deceive-network", name)


def race(page: "Page", target: str) -> None:
    """Deceive every network of panel 3 for a digit, or "all"; wait until all are done."""
    page.locator("#rounds-targets label", has_text=target).click()
    page.click("#rounds-go")
    page.wait_for_selector("#rounds-go:enabled")


def deceived(
    page: "Page",
    target: int | None = None,
    start: str | None = None,
    network: str | None = None,
) -> str:
    """Deceive with these choices, as fast as it goes; the sentence that it ends with."""
    page.select_option("#deceive-speed", "Infinity")
    if network is not None:
        choose_network(page, network)
    if start is not None:
        page.select_option("#deceive-start", start)
    if target is not None:
        page.locator("#deceive-targets label", has_text=str(target)).click()
    page.click("#deceive-go")
    page.wait_for_selector("#deceive-again:enabled")
    return page.inner_text("#deceive-said")


def saved(page: "Page") -> Tensor:
    """The image that the page saves: a grey PNG of 28 × 28, as (1, 1, 28, 28) float32."""
    with page.expect_download() as download:
        page.click("#deceive-save")
    content = Path(download.value.path()).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert (image.mode, image.size, image.format) == ("L", (28, 28), "PNG")
        return torch.from_numpy(np.array(image))[None, None].float() / 255
