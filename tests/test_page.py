"""The page, in a real browser: Debian's `chromium`, Chrome, or Playwright's own."""

import io
import json
import os
import shutil
import sys
import threading
import time
import urllib.request
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from deceive import InputError, fool, load_data, load_network
from deceive.cli import main
from deceive.common.files import write_text
from deceive.common.levels import UNIT, from_levels, to_levels
from deceive.common.locks import LOCK, locked
from deceive.fooling.ascent import Ascent
from deceive.fooling.batch import Entrance
from deceive.fooling.climber import Climber
from deceive.fooling.drawing import DRAWING
from deceive.fooling.objectives import log_odds
from deceive.fooling.starts import STARTS, begin
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of
from deceive.storage.export import export_onnx
from deceive.storage.models import load_card, save_network, shipped_folder, shipped_names
from deceive.webpage import networks
from deceive.webpage.build import CLONE, build
from deceive.webpage.built import write_list
from deceive.webpage.networks import manifest, write_networks
from deceive.webpage.notebooks import write_notebooks
from deceive.webpage.serving import server

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
STEPS = DRAWING.schedule.steps
DRAW_SAID = "document.getElementById('draw-said').textContent"
TOLD = pytest.mark.tolerates_errors  # the page is made to fail, and may say so in the console


def unavailable(what: str) -> None:
    """Skip, with a line that says how to get it; in continuous integration that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def dist():
    if shutil.which("npm") is None:
        unavailable("the page is built with Node.js 20.19 or newer: https://nodejs.org")
    return build()


@pytest.fixture(scope="session")
def serve():
    running = []

    def start(folder):
        one = server(folder)
        threading.Thread(target=one.serve_forever, daemon=True).start()
        running.append(one)
        return f"http://127.0.0.1:{one.server_port}/"

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


@pytest.fixture(scope="session")
def site(dist, serve):
    return serve(dist)


@pytest.fixture(scope="session")
def models_with_rounds(tmp_path_factory):
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
        nn.init.normal_(network.body.noise[-1].weight, std=0.3)
        update = {"architecture": "draw", "n_outputs": 11, "rubbish_class": 10}
        update |= {"round": number, "ascent": DRAWING, "test_accuracy": 0.9 + number / 1000}
        card = load_card("fast").model_copy(update=update)
        save_network(network, folder / f"rounds-{number:06d}.safetensors", card)
    return folder


@pytest.fixture(scope="session")
def site_with_rounds(dist, serve, models_with_rounds, tmp_path_factory):
    """The page, built with those."""
    folder = tmp_path_factory.mktemp("site") / "dist"
    shutil.copytree(dist, folder)
    write_networks(models_with_rounds, folder / "networks", {}, lambda stage: None)
    write_list(folder, sources="")
    return serve(folder)


@pytest.fixture(scope="session")
def without_rounds(dist):
    """Routes to a page in whose panel 3 are networks that never went through any."""
    listed = json.loads((dist / "networks" / "manifest.json").read_text())
    plain = [name for name, one in listed["networks"].items() if one["round"] is None]
    listed["rounds"] = [{"network": name, "round": None} for name in plain]
    return {"**/manifest.json": {"json": listed}}


@pytest.fixture(scope="session")
def browser():
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
def visit(request, browser, site):
    """Opens the page; when the test is over, nothing may have gone wrong or left the origin."""
    contexts, errors, urls = [], [], []
    origin = [site]

    def go(url=site, ready=True, routes=None, script=None, **settings):
        origin.append(url)
        context = browser.new_context(reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: said.type == "error" and errors.append(said.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda asked: urls.append(asked.url))
        for pattern, answer in (routes or {}).items():
            page.route(pattern, partial(_answer, answer))
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


def _answer(answer, route):
    route.fulfill(**answer)


def until(page, expression):
    """Wait until it is true; Playwright's own way evaluates text in the page, which forbids it."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"{expression} did not come true"
        page.wait_for_timeout(20)


def stroke(page, *points):
    """Draw through points given as shares of the drawing area."""
    box = page.locator("#pad").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def draw_one(page):
    page.locator("#pad").scroll_into_view_if_needed()
    stroke(page, (0.52, 0.15), (0.5, 0.85))
    until(page, "document.getElementById('draw-said').textContent.startsWith('It reads')")


def deceived(page, target=None, start=None, network=None):
    """Deceive with these choices, as fast as it goes; the sentence that it ends with."""
    page.select_option("#deceive-speed", "Infinity")
    if network is not None:
        page.select_option("#deceive-network", network)
    if start is not None:
        page.select_option("#deceive-start", start)
    if target is not None:
        page.locator("#deceive-targets label", has_text=str(target)).click()
    page.click("#deceive-go")
    page.wait_for_selector("#deceive-again:enabled")
    return page.inner_text("#deceive-said")


def saved(page):
    """The image that the page saves: a grey PNG of 28 × 28, as (1, 1, 28, 28) float32."""
    with page.expect_download() as download:
        page.click("#deceive-save")
    content = Path(download.value.path()).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert (image.mode, image.size, image.format) == ("L", (28, 28), "PNG")
        return torch.from_numpy(np.array(image))[None, None].float() / 255


# Panel 1.


@pytest.mark.shipped
def test_a_one_drawn_with_the_mouse_is_read_as_one(visit):
    page = visit()
    assert page.inner_text("#draw-said") == "The drawing is empty: draw a digit first."
    assert page.locator("#draw-bars li").count() == 10
    draw_one(page)
    assert page.inner_text("#draw-said").startswith("It reads 1, and is ")
    assert page.inner_text("#draw-bars .wanted .label") == "1"
    shares = page.locator("#draw-bars .value").all_inner_texts()
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=1)


def test_undo_takes_strokes_back_one_by_one_and_clear_all(visit):
    page = visit()
    page.locator("#pad").scroll_into_view_if_needed()
    small = "[...document.getElementById('seen').getContext('2d').getImageData(0,0,28,28).data]"
    empty = page.evaluate(small)
    draw_one(page)
    one = page.evaluate(small)
    assert one != empty
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    until(page, f"JSON.stringify({small}) !== {json.dumps(json.dumps(one))}")
    page.click("#undo")
    until(page, f"JSON.stringify({small}) === {json.dumps(json.dumps(one, separators=(',', ':')))}")
    page.click("#clear")
    page.wait_for_selector("#undo:disabled")
    assert page.evaluate(small) == empty
    assert page.inner_text("#draw-said") == "The drawing is empty: draw a digit first."


@pytest.mark.shipped
def test_drawing_by_keyboard(visit):
    page = visit()
    page.focus("#pad")
    for key in ["ArrowUp"] * 14 + [" "] + ["ArrowDown"] * 28 + [" "]:
        page.keyboard.press(key)
    until(page, f"{DRAW_SAID}.startsWith('It reads 1')")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#clear:disabled")


def test_drawings_are_prepared_as_mnist_was(visit):
    # One of MNIST's own, drawn ten times as large and anywhere, comes back as it was.
    page = visit()
    images = load_data().test.images[:40].reshape(-1, 28, 28)
    enlarge_and_prepare = """({ image, left, top }) => {
        const ink = new Float32Array(400 * 400);
        for (let row = 0; row < 280; row++)
            for (let column = 0; column < 280; column++)
                ink[(top + row) * 400 + left + column] =
                    image[28 * Math.floor(row / 10) + Math.floor(column / 10)];
        return [...window.deceive.preprocess(ink, 400, 400)];
    }"""
    for number, image in enumerate(images):
        drawn = {"image": image.flatten().tolist(), "left": 3 * number, "top": 119 - 3 * number}
        came = page.evaluate(enlarge_and_prepare, drawn)
        # Faint pixels at the edge may be left out, and shift the rest by a part of a pixel.
        gap = (torch.tensor(came).view(28, 28) - image).abs().mean()
        assert gap < 0.03, number
        assert torch.tensor(came).sum() == pytest.approx(float(image.sum()), rel=0.1)


# Panel 2.


@pytest.mark.shipped
def test_every_digit_is_reached_and_its_png_fools_the_network_in_python(visit):
    page, network, steps = visit(), load_network("fast"), 0
    for target in range(10):
        said = deceived(page, target, "uniform")
        assert f"sure that this is a {target}" in said
        # The judge is asked when that has been said.
        until(page, "document.getElementById('deceive-said').textContent.includes('The judge, ')")
        confidence = network(saved(page)).softmax(1)[0, target].item()
        assert confidence >= 0.99
        shown = float(page.inner_text("#deceive-confidence").rstrip("%")) / 100
        assert shown == pytest.approx(confidence, abs=2e-3)
        steps += int(page.inner_text("#deceive-steps"))
    assert steps > 10  # static may be taken for one digit as it is, but not for each


@pytest.mark.shipped
@pytest.mark.parametrize("start", ["gaussian", "smooth", "blank", "squares", "drawing"])
def test_every_start_leads_there(visit, start):
    page = visit()
    draw_one(page)
    deceived(page, 7, start)
    assert load_network("fast")(saved(page)).softmax(1)[0, 7] >= 0.99


@pytest.mark.shipped
@pytest.mark.parametrize("name", [n for n in shipped_names() if load_card(n).round is None])
def test_every_network_is_deceived(visit, name):
    page = visit()
    deceived(page, 3, network=name)
    assert load_network(name)(saved(page)).softmax(1)[0, 3] >= 0.99


@pytest.mark.shipped
def test_what_deceives_the_one_that_resists_is_the_digit(visit):
    page, seen = visit(), {}
    for name in ("fast", "resist"):
        deceived(page, 6, "blank", network=name)
        image = saved(page)
        assert load_network(name)(image).softmax(1)[0, 6] >= 0.99
        judges = (load_network(judge) for judge in ("judge", "study", "judge-in-noise"))
        seen[name] = sum(judge(image)[0, :10].argmax().item() == 6 for judge in judges)
    assert seen["fast"] < 2 <= seen["resist"]


@pytest.mark.shipped
def test_the_drawing_is_taken_over(visit):
    page = visit()
    page.select_option("#deceive-start", "drawing")
    assert "Your drawing is empty" in page.inner_text("#deceive-said")
    assert page.is_disabled("#deceive-go")
    draw_one(page)
    page.click("#draw-use")
    assert page.input_value("#deceive-start") == "drawing"
    said = deceived(page, 1)
    assert "without a single step" in said or "sure that this is a 1" in said


@pytest.mark.shipped
def test_play_pause_single_steps_and_looking_back(visit):
    page = visit()
    page.select_option("#deceive-speed", "2")
    page.click("#deceive-step")
    until(page, "document.querySelector('#deceive-curve polyline').points.length === 1")
    page.click("#deceive-step")
    until(page, "document.querySelector('#deceive-curve polyline').points.length === 2")
    assert page.inner_text("#deceive-steps") == "1"
    page.click("#deceive-pause")  # it says Play
    until(page, "document.getElementById('deceive-steps').textContent === '3'")
    assert page.inner_text("#deceive-pause") == "Pause"
    page.click("#deceive-pause")
    stopped = int(page.inner_text("#deceive-steps"))
    page.wait_for_timeout(1200)
    assert int(page.inner_text("#deceive-steps")) <= stopped + 1
    page.focus("#deceive-back")
    page.keyboard.press("Home")
    assert page.inner_text("#deceive-steps") == "0"
    page.select_option("#deceive-speed", "Infinity")
    page.click("#deceive-pause")
    until(
        page,
        "document.getElementById('deceive-said').textContent.includes('sure that this is a 5')",
    )
    steps = int(page.inner_text("#deceive-steps"))
    page.focus("#deceive-back")
    for step in range(steps - 1, -1, -1):
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#deceive-steps") == str(step)
    page.click("#deceive-again")
    until(page, "document.getElementById('deceive-said').textContent.includes('sure')")


# The update rule.


class Recorder(nn.Module):
    """The network, and every image that the loop asked it about, as it was before rounding."""

    seen: list[torch.Tensor]

    def __init__(self, network, seen):
        super().__init__()
        self.network = network
        type(self).seen = seen

    def forward(self, images):
        if images.requires_grad:
            self.seen.append(images.detach().clone())
        return self.network(images)


STEPS_IN_PAGE = """async ({ starts, targets, steps, confidence }) => {
    const rule = { confidence, steps: steps + 1 };
    const images = starts.map((start) => Float32Array.from(start));
    const deception = await window.deceive.networks.deceive("fast", targets, images, rule);
    for (let k = 0; k < steps; k++) await deception.step();
    return (await deception.pixels()).map((pixels) => [...pixels]);
}"""


@pytest.mark.parametrize("seed", [0, 1])
def test_fifty_steps_are_the_librarys_pixel_by_pixel(visit, tmp_path, monkeypatch, seed):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    # Less sure of everything, so that no image arrives before the fiftieth step.
    network = load_network("fast").requires_grad_(False)
    network.head.weight *= 0.1
    network.head.bias *= 0.1
    export_onnx(network, tmp_path / "shy.onnx")
    page = visit(routes={"**/fast.onnx": {"body": (tmp_path / "shy.onnx").read_bytes()}})

    seen: list[torch.Tensor] = []
    starts = begin("uniform", range(10), (1, 28, 28), seed)
    settings = {"confidence": 0.9999, "start": starts, "steps": 51}
    result = fool(Recorder(network, seen), range(10), **settings)
    assert result.steps.tolist() == [51] * 10
    assert len(seen) == 51
    came = page.evaluate(
        STEPS_IN_PAGE,
        {
            "starts": starts.flatten(1).tolist(),
            "targets": list(range(10)),
            "steps": 50,
            "confidence": 0.9999,
        },
    )
    gap = (torch.tensor(came).view(10, 1, 28, 28) - seen[50]).abs().max().item()
    assert gap <= 1e-3
    assert (seen[50] - starts).abs().mean() > 0.1  # they have moved


@pytest.mark.shipped
def test_the_end_is_the_librarys_too(visit, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    starts = begin("uniform", range(10), (1, 28, 28), 3)
    result = fool(load_network("fast"), range(10), start=starts)
    came = visit().evaluate(
        """async (starts) => {
            const images = starts.map((start) => Float32Array.from(start));
            const { networks } = window.deceive;
            const deception = await networks.deceive("fast", [...images.keys()], images);
            let state;
            do state = await deception.step(); while (!state.finished);
            return state.images.map((image) => ({ ...image, levels: [...image.levels] }));
        }""",
        starts.flatten(1).tolist(),
    )
    assert [one["steps"] for one in came] == result.steps.tolist()
    assert all(one["fooled"] for one in came)
    levels = torch.tensor([one["levels"] for one in came]).view(10, 1, 28, 28)
    assert (levels - result.levels.long()).abs().max() <= 1
    for one, confidence in zip(came, result.confidence.tolist(), strict=True):
        assert one["confidence"] == pytest.approx(confidence, abs=1e-3)


DRAWN_IN_PAGE = """async ({ starts, seed, changed }) => {
    const { networks, generator, normal } = window.deceive;
    const name = "rounds-000010";
    const images = starts.map((start) => Float32Array.from(start));
    const { ascent } = networks.rule(name);
    const rule = { seed, ascent: { ...ascent, ...changed } };
    const deception = await networks.deceive(name, [...images.keys()], images, rule);
    await deception.step(ascent.schedule.steps);
    const pixels = (await deception.pixels()).map((image) => [...image]);
    const { images: ends, finished } = await deception.step();
    // The noise that each image was seen in, drawn again.
    const noise = images.map((image, i) => {
        const random = generator(seed, i + 1);
        return Array.from({ length: ascent.schedule.steps * image.length }, () => normal(random));
    });
    const confidence = ends.map((image) => image.confidence);
    return { pixels, noise, finished, confidence, steps: ends.map((image) => image.steps) };
}"""


@pytest.mark.parametrize(
    "changed",
    [{}, {"rule": "momentum", "momentum": 0.5, "stepSize": 0.05}, {"rule": "adam"}],
    ids=lambda changed: changed.get("rule", "sign"),
)
def test_drawing_is_the_librarys_pixel_by_pixel(
    visit, site_with_rounds, models_with_rounds, monkeypatch, changed
):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    network = load_network(models_with_rounds / "rounds-000010.safetensors")
    starts = begin("uniform", range(10), (1, 28, 28), 5)
    given = {"starts": starts.flatten(1).tolist(), "seed": 7, "changed": changed}
    came = visit(site_with_rounds).evaluate(DRAWN_IN_PAGE, given)
    noise = torch.tensor(came["noise"]).view(10, STEPS, 1, 28, 28)

    def of_page(seed, number):
        own = iter(noise[number])
        return lambda tensor: tensor.copy_(next(own))

    names, targets = {"stepSize": "step_size"}, torch.arange(10)
    ascent = DRAWING.model_copy(update={names.get(k, k): v for k, v in changed.items()})
    net = FrozenCopy(network, starts[:1])
    climber = Climber(net, ascent, log_odds, UNIT, STEPS)
    batch = Entrance(lambda numbers: starts, targets, ascent, 0, noise=of_page).batch(range(10))
    for _ in range(STEPS):
        batch = climber.step(batch)
    ends = batch.images
    assert came["finished"]
    assert came["steps"] == [STEPS] * 10

    # A gradient of next to nothing may have one sign here and the other there.
    gap = (torch.tensor(came["pixels"]).view(10, 1, 28, 28) - ends).abs()
    assert (gap > 1e-3).float().mean() <= 0.002
    assert (ends - starts).abs().mean() > 0.1  # they have moved
    reached = confidence_of(net.exact_logits(from_levels(to_levels(ends))), targets)
    assert came["confidence"] == pytest.approx(reached.tolist(), abs=0.01)


def test_noise_is_gaussian_and_no_image_has_anothers(visit):
    draw = """([seed, stream]) => {
        const random = window.deceive.generator(seed, stream);
        return Array.from({ length: 20_000 }, () => window.deceive.normal(random));
    }"""
    page = visit()
    first, second, other = (
        torch.tensor(page.evaluate(draw, given)) for given in ([1, 1], [1, 2], [2, 1])
    )
    for one in (first, second, other):
        assert one.mean().item() == pytest.approx(0, abs=0.03)
        assert one.std().item() == pytest.approx(1, abs=0.03)
        assert (one.abs() > 1.96).float().mean().item() == pytest.approx(0.05, abs=0.01)
    together = torch.corrcoef(torch.stack([first, second, other]))
    assert (together - torch.eye(3)).abs().max() < 0.03
    assert torch.equal(torch.tensor(page.evaluate(draw, [1, 1])), first)


def test_the_starts_are_drawn_as_the_librarys(visit):
    page = visit()
    coarse = torch.rand(7, 7, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(coarse[None, None], size=(28, 28), mode="bicubic")[0, 0]
    came = page.evaluate("(c) => [...window.deceive.enlarged(c, 7, 28)]", coarse.flatten().tolist())
    assert torch.allclose(torch.tensor(came).view(28, 28), expected, atol=1e-5)
    draw = """(name) => Array.from({ length: 100 }, (_, seed) =>
        [...window.deceive.starts[name](window.deceive.generator(seed))])"""
    for name in STARTS:
        images = torch.tensor(page.evaluate(draw, name), dtype=torch.float32)
        own = begin(name, range(100), (1, 28, 28), 0).flatten(1)
        assert images.shape == own.shape
        assert images.min() >= 0
        assert images.max() <= 1
        assert images.mean().item() == pytest.approx(own.mean().item(), abs=0.02)
        assert images.std().item() == pytest.approx(own.std().item(), abs=0.02)
        if name != "blank":
            assert len(images.unique(dim=0)) == 100


# Panel 3.


@pytest.mark.shipped
def test_sliding_through_the_networks(visit, without_rounds):
    page = visit(routes=without_rounds)
    names = [name for name in shipped_names() if load_card(name).round is None]
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert page.inner_text("#rounds-said").count("10 of 10 fool it") >= 1
    assert page.locator(".lane").count() == len(names)
    page.focus("#rounds-slider")
    page.keyboard.press("Home")
    pictures = set()
    for number, name in enumerate(names):
        if number:
            page.keyboard.press("ArrowRight")
        assert name in page.inner_text("#rounds-label")
        assert page.locator("#rounds-chosen figure").count() == 10
        assert page.locator(".lane").nth(number).get_attribute("aria-pressed") == "true"
        captions = page.locator("#rounds-chosen figcaption").all_inner_texts()
        assert [caption[1] for caption in captions] == list("0123456789")
        assert all("steps" in caption for caption in captions)
        pictures.add(page.evaluate("document.querySelector('#rounds-chosen canvas').toDataURL()"))
    assert len(pictures) == len(names)
    page.locator(".lane").first.click()
    assert page.input_value("#rounds-slider") == "0"


@pytest.mark.shipped
def test_one_digit_against_each_network(visit, without_rounds):
    page = visit(routes=without_rounds)
    page.locator("#rounds-targets label", has_text="4").click()
    page.click("#rounds-go")
    page.wait_for_selector("#rounds-go:enabled")
    assert page.locator("#rounds-chosen figure").count() == 1
    assert page.inner_text("#rounds-chosen figcaption").startswith("“4” 99.")


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


def test_networks_of_rounds_draw_by_their_own_ascent(visit, site_with_rounds):
    page = visit(site_with_rounds)
    assert "That is a round." in page.inner_text("#rounds-words")
    assert f"takes {STEPS} steps" in page.inner_text("#rounds-words")
    assert page.inner_text("#rounds-label") == "Round 10: reads 91.00%"
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert page.locator(".lane strong").all_inner_texts() == ["Round 0", "Round 10"]
    said = page.inner_text("#rounds-said")
    page.focus("#rounds-slider")
    for key, round_ in (("Home", 0), ("End", 10)):
        page.keyboard.press(key)
        assert page.inner_text("#rounds-label").startswith(f"Round {round_}: ")
        captions = page.locator("#rounds-chosen figcaption").all_inner_texts()
        lines = [caption.splitlines() for caption in captions]
        assert [line[0][:3] for line in lines] == [f"“{digit}”" for digit in range(10)]
        assert [line[1] for line in lines] == [f"{STEPS} steps"] * 10
        right = [line[2] == f"judge: {digit} ✓" for digit, line in enumerate(lines)]
        assert page.locator("#rounds-chosen .agrees").count() == sum(right)
        note = page.locator(".lane").nth(round_ // 10).locator("small").inner_text()
        assert note == f"the judge agrees with {sum(right)} of 10"
        assert f"{sum(right)} of the 10" in said


@pytest.mark.shipped
def test_panel_two_draws_all_its_steps_and_has_a_rubbish_class(visit, site_with_rounds):
    page = visit(site_with_rounds)
    assert page.is_hidden("#deceive-how")
    page.select_option("#deceive-network", "rounds-000010")
    assert f"every image takes {STEPS} steps" in page.inner_text("#deceive-how")
    assert page.locator("#deceive-bars .label").last.inner_text() == "rubbish"
    assert page.locator("#deceive-targets input").count() == 10
    said = deceived(page, 3)
    assert said.startswith(f"After {STEPS} steps")
    assert page.inner_text("#deceive-steps") == str(STEPS)
    page.select_option("#deceive-network", "fast")
    assert page.is_hidden("#deceive-how")
    assert "sure that this is a 3" in deceived(page)


@pytest.mark.shipped
@pytest.mark.skipif(
    sum(load_card(name).round is not None for name in shipped_names()) < 2,
    reason="networks of the rounds are not among the models",
)
def test_static_at_the_first_round_and_handwriting_at_the_last(visit):
    page = visit()
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert page.locator("#rounds-chosen .agrees").count() >= 9
    page.focus("#rounds-slider")
    page.keyboard.press("Home")
    assert page.locator("#rounds-chosen .agrees").count() <= 4


# Whatever window, colours and device.


def violations(page):
    page.evaluate((CLONE / "web/node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_keeps_anybody_out(visit, scheme, width):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert violations(page) == []
    draw_one(page)
    deceived(page, 5)
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert violations(page) == []
    for path in sorted((CLONE / "web/dist/notebooks").iterdir())[:1]:
        page.goto(page.url + f"notebooks/{path.name}")
        assert page.locator("main").inner_text().strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawings_of_the_rounds_keep_nobody_out_either(visit, site_with_rounds, scheme):
    page = visit(site_with_rounds, color_scheme=scheme, **PHONE)
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_phone(visit):
    page = visit(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=3,
    )
    draw_one(page)
    deceived(page, 8)
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 40


@pytest.mark.shipped
def test_a_finger_draws(visit):
    page = visit(**PHONE)
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    touch = page.context.new_cdp_session(page)
    x = box["x"] + box["width"] / 2
    for share in np.linspace(0.15, 0.85, 20):
        kind = "touchStart" if share == 0.15 else "touchMove"
        point = {"x": x, "y": box["y"] + share * box["height"]}
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(page, f"{DRAW_SAID}.startsWith('It reads 1')")


def test_the_page_stays_responsive_meanwhile(visit):
    # One question about thousands of images takes its time; pictures are drawn all the while.
    page = visit()
    whole, slowest = page.evaluate(
        """async () => {
            let [last, slowest] = [performance.now(), 0];
            const tick = (now) => {
                slowest = Math.max(slowest, now - last);
                last = now;
                requestAnimationFrame(tick);
            };
            requestAnimationFrame(tick);
            const { networks, starts, generator } = window.deceive;
            const images = Array(3000).fill(starts.uniform(generator(1)));
            const start = performance.now();
            await networks.confidences(networks.manifest.default, images);
            return [performance.now() - start, slowest];
        }"""
    )
    assert slowest < whole / 2


def test_links_lead_to_pages_that_are_there(visit, site):
    page = visit()
    links = page.evaluate("[...document.links].map((link) => link.href)")
    assert any("notebooks/deceive_mnist.html" in link for link in links)
    for link in {link.split("#")[0] for link in links}:
        assert link.startswith(site)
        with urllib.request.urlopen(link) as answer:
            assert answer.status == 200


def test_notebooks_are_pages_with_formulas_and_links_between_them(visit, site):
    page = visit(site + "notebooks/deceive_mnist.html", ready=False)
    assert page.inner_text("h1") == "Deceiving a network that reads digits"
    assert page.locator("math").count() >= 1
    assert "$" not in "".join(page.locator("main p").all_inner_texts())
    assert page.locator("img").count() >= 1
    page.click("a:has-text('cnn_training')")
    assert page.inner_text("h1") == "Teaching a network to read digits"
    assert page.locator("math[display='block']").count() >= 1
    assert "$" not in "".join(page.locator("main p").all_inner_texts())
    page.click("a:has-text('back to the page')")
    page.wait_for_selector("html[data-ready]")


# What can go wrong is a sentence.


@TOLD
@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ({"**/manifest.json": {"status": 404}}, "The list of networks could not be fetched: the"),
        ({"**/fast.onnx": {"status": 500}}, "The network “fast” could not be fetched: the host"),
        ({"**/fast.onnx": {"body": "x" * 99}}, "The network “fast” could not be started: "),
        ({"**/*.wasm-*.gz": {"status": 404}}, "The runtime could not be fetched: the host says"),
    ],
)
def test_what_fails_to_load_is_said(visit, routes, said):
    page = visit(ready=False, routes=routes)
    page.wait_for_selector("#boot.problem")
    assert page.inner_text("#boot").startswith(said)
    assert page.inner_text("#boot").endswith("Reload the page to try again.")


@pytest.mark.shipped
@TOLD
def test_another_network_that_fails_is_said_where_it_was_chosen(visit, without_rounds):
    page = visit(routes={"**/study.onnx": {"status": 404}, **without_rounds})
    page.select_option("#deceive-network", "study")
    page.click("#deceive-go")
    until(
        page, "document.getElementById('deceive-said').textContent.includes('“study” could not be')"
    )
    assert page.is_enabled("#deceive-go")
    assert "sure that this is a 5" in deceived(page, 5, network="fast")
    page.click("#rounds-all")
    page.wait_for_selector("#rounds-go:enabled")
    assert "“study” could not be fetched" in page.inner_text("#rounds-said")


@pytest.mark.shipped
@TOLD
def test_a_judge_that_fails_takes_nothing_from_the_rest(visit):
    page = visit(routes={"**/judge.onnx": {"status": 404}})
    said = deceived(page, 5)
    assert "sure that this is a 5" in said
    until(page, "document.getElementById('deceive-said').textContent.includes('“judge” could not')")
    assert "“judge” could not be fetched" in page.inner_text("#boot")


@pytest.mark.parametrize("lacking", ["WebAssembly", "Worker", "DecompressionStream"])
def test_a_browser_that_lacks_something_is_told(visit, lacking):
    page = visit(ready=False, script=f"delete globalThis.{lacking}")
    page.wait_for_selector("#boot.problem")
    said = page.inner_text("#boot")
    assert said.startswith("This browser can’t run the page: it has no ")
    assert lacking in said


def test_without_scripts_a_sentence_stays(visit):
    page = visit(ready=False, java_script_enabled=False)
    assert "Should this sentence stay, your browser can’t run the page" in page.inner_text("#boot")


# Building and serving.


@pytest.mark.shipped
def test_the_first_load_and_each_network_are_small(dist):
    listed = json.loads((dist / "networks" / "manifest.json").read_text())["networks"]
    for entry in listed.values():
        assert (dist / "networks" / entry["file"]).stat().st_size == entry["bytes"] <= 2e6
    other = [
        path
        for path in dist.rglob("*")
        if path.is_file() and path.parent.name not in ("networks", "notebooks")
    ]
    first = sum(path.stat().st_size for path in other)
    assert first + listed["fast"]["bytes"] + listed["judge"]["bytes"] <= 15e6
    assert not [path for path in other if path.suffix == ".wasm"]


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

    def keep(*arguments):
        running.append(server(*arguments))
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
    _program(
        programs / "npm", 'if [ "$1" = run ]; then mkdir -p dist && echo page > dist/index.html; fi'
    )
    (programs.parent / "web" / "package-lock.json").write_text("{}")
    models = programs.parent / "models"
    models.mkdir()
    for suffix in (".json", ".safetensors"):
        shutil.copy(shipped_folder() / f"study{suffix}", models)
    (programs.parent / "web" / "notebook.html.jinja").touch()
    monkeypatch.setattr(networks, "export_onnx", lambda network, path: write_text(path, "graph"))


def test_what_an_earlier_build_left_damaged_is_made_anew(unbuilt, tmp_path, monkeypatch):
    built_by(unbuilt, monkeypatch)
    web, stages = tmp_path / "web", []
    networks = web / "public" / "networks" / "manifest.json"
    build(clone=tmp_path)
    listed, manifest = json.loads((web / "dist" / "build.json").read_text()), networks.read_text()
    assert listed["files"] == ["index.html"]
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
