"""The panel on which a visitor teaches a network, in a real browser."""

import io
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from deceive import Classifier, load_data
from deceive.fooling.objectives import log_odds
from deceive.webpage.lesson import LIVE
from worlds.browser import until

NUMBER = "Number(document.getElementById('teach-number').textContent)"
STEPS = LIVE.end


@pytest.fixture(scope="module")
def digits():
    return load_data().first(LIVE.training_images).train


def network_with(weights, digits):
    """The page's network, with these weights."""
    mean, std = (round(value.item(), 4) for value in (digits.images.mean(), digits.images.std()))
    network = Classifier("sketch", 11, mean=mean, std=std).eval()
    nn.utils.vector_to_parameters(torch.tensor(weights), network.parameters())
    return network


STEP_IN_PAGE = """async (given) => {
    const { teach } = window.deceive;
    const flat = (values) => Float32Array.from(values);
    const weights = flat(given.weights);
    const state = new Float32Array(2 * weights.length).fill(given.memory);
    const images = flat(given.images);
    const { weights: moved, loss } = await teach.ask("step", { ...given, weights, state, images });
    return { weights: [...moved], loss };
}"""


def test_a_step_is_torchs(visit, digits):
    torch.manual_seed(0)
    network = Classifier("sketch", 11).eval()
    nn.init.normal_(network.get_parameter("body.noise.2.weight"), std=0.1)
    network = network_with(nn.utils.parameters_to_vector(network.parameters()).tolist(), digits)
    weights = nn.utils.parameters_to_vector(network.parameters()).detach()
    images, labels = torch.rand(12, 1, 28, 28), torch.randint(11, (12,))
    noise, memory = torch.rand(12), 1e-4
    given = {
        "weights": weights.tolist(),
        "memory": memory,
        "number": 500,
        "rate": 1e-2,
        "images": images.flatten().tolist(),
        "labels": labels.tolist(),
        "noise": noise.tolist(),
    }
    came = visit().evaluate(STEP_IN_PAGE, given)

    optimiser = torch.optim.Adam(network.parameters(), 1e-2, betas=(0.0, 0.99))
    for each in network.parameters():
        optimiser.state[each] = {
            "step": torch.tensor(499.0),
            "exp_avg": torch.zeros_like(each),
            "exp_avg_sq": torch.full_like(each, memory),
        }
    loss = F.cross_entropy(network(images, noise), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    after = nn.utils.parameters_to_vector(network.parameters()).detach()
    assert came["loss"] == pytest.approx(loss.item(), abs=1e-4)
    assert (torch.tensor(came["weights"]) - after).abs().max() <= 1e-4
    assert (after - weights).abs().max() > 1e-3


DRAWN_IN_PAGE = """async (steps) => {
    const { teach, generator, shake } = window.deceive;
    const { levels } = await teach.ask("begin", { seed: 3 });
    const weights = [...(await teach.ask("weights"))];
    // Where each of the ten began, and the noise that it was seen in.
    const chance = Array.from({ length: 10 }, (_, i) => {
        const random = generator(i);
        const start = Array.from({ length: 784 }, random);
        const noise = Array.from({ length: steps }, () => {
            const one = new Float32Array(784);
            shake(one, 0, 784, 1, random);
            return [...one];
        });
        return { start, noise };
    });
    return { levels: [...levels.slice(0, 7840)], weights, chance };
}"""


def test_images_climb_as_the_librarys(visit, digits):
    came = visit().evaluate(DRAWN_IN_PAGE, STEPS)
    network = network_with(came["weights"], digits)
    images = torch.tensor([one["start"] for one in came["chance"]]).view(10, 1, 28, 28)
    noise = torch.tensor([one["noise"] for one in came["chance"]]).view(10, STEPS, 1, 28, 28)
    begun = images
    for step in range(STEPS):
        taken = torch.full((10,), step)
        sigma = LIVE.ascent.noise_after(taken)
        seen = images + sigma.view(-1, 1, 1, 1) * noise[:, step]
        seen.requires_grad_(True)
        score = log_odds(network(seen, sigma), torch.arange(10)).sum()
        (gradient,) = torch.autograd.grad(score, seen)
        size = LIVE.ascent.size_after(taken).view(-1, 1, 1, 1)
        images = (images + size * gradient.sign()).clamp(0, 1)
    levels = torch.tensor(came["levels"]).view(10, 1, 28, 28) / 255
    # A gradient of next to nothing may have one sign here and the other there.
    assert ((levels - images).abs() > 1 / 255).float().mean() <= 0.01
    assert (images - begun).abs().mean() > 0.1


def played(page, number):
    until(page, f"{NUMBER} >= {number}")


def test_rounds_are_played_paused_looked_back_on_and_begun_anew(visit):
    page = visit()
    assert page.is_disabled("#teach-anew")
    assert page.is_disabled("#teach-save")
    page.click("#teach-go")
    until(page, "document.getElementById('teach-go').textContent === 'Pause'")
    played(page, 3)
    page.click("#teach-go")
    until(page, "document.getElementById('teach-go').textContent === 'Go on'")
    # The judge's answer comes later than the images.
    until(page, f"window.deceive.teach.points().at(-1)?.number === {NUMBER}")
    assert page.inner_text("#teach-share").endswith("%")
    assert page.inner_text("#teach-where") == "Runs on one core of the processor."
    number = page.evaluate(NUMBER)
    points = page.evaluate("window.deceive.teach.points()")
    assert points[0]["number"] == 0
    assert points[-1]["number"] == number
    assert all(0 <= point["share"] <= 1 for point in points)
    image = "document.querySelector('#teach-images canvas').toDataURL()"
    last = page.evaluate(image)
    page.focus("#teach-back")
    page.keyboard.press("Home")
    assert page.evaluate(image) != last
    label = page.locator("#teach-images canvas").nth(7).get_attribute("aria-label")
    assert label == "The image for 7 after 0 rounds"
    page.click("#teach-go")
    played(page, number + 1)
    page.click("#teach-anew")
    until(page, "window.deceive.teach.points().length <= 1")
    played(page, 1)


def test_what_is_saved_is_what_is_shown(visit):
    page = visit()
    page.click("#teach-go")
    played(page, 2)
    page.click("#teach-go")
    until(page, "document.getElementById('teach-go').textContent === 'Go on'")
    page.wait_for_timeout(200)
    with page.expect_download() as download:
        page.click("#teach-save")
    session = onnxruntime.InferenceSession(
        Path(download.value.path()).read_bytes(), providers=["CPUExecutionProvider"]
    )
    images = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    told = {"targets": np.array([1, 2]), "noise": np.zeros(2, np.float32)}
    logits, gradient = session.run(None, {"images": images} | told)
    assert gradient.shape == images.shape
    read = """(image) => window.deceive.teach.ask("read", { image: Float32Array.from(image) })"""
    for image, row in zip(images, torch.tensor(logits).softmax(1), strict=True):
        assert page.evaluate(read, image.flatten().tolist()) == pytest.approx(
            row.tolist(), abs=1e-4
        )

    with page.expect_download() as download:
        page.click("#teach-save-images")
    with Image.open(io.BytesIO(Path(download.value.path()).read_bytes())) as sheet:
        assert (sheet.mode, sheet.size) == ("L", (140, 56))
        seven = np.array(sheet)[28:, 56:84]
    shown = page.evaluate(
        """[...document.querySelectorAll('#teach-images canvas')[7]
            .getContext('2d').getImageData(0, 0, 28, 28).data]"""
    )
    assert (np.array(shown).reshape(28, 28, 4)[..., 0] == seven).all()

    # Panel 2 deceives it too.
    page.click("#teach-deceive")
    until(page, "document.getElementById('deceive-network').value === 'yours'")
    page.select_option("#deceive-speed", "Infinity")
    page.click("#deceive-go")
    page.wait_for_selector("#deceive-again:enabled")
    assert page.inner_text("#deceive-said").startswith(f"After {STEPS} steps")


def test_a_scribble_becomes_rubbish(visit):
    page = visit()
    page.click("#teach-go")
    played(page, 1)
    assert page.is_disabled("#teach-rubbish")
    page.focus("#teach-pad")
    for key in ["ArrowUp"] * 10 + [" "] + ["ArrowDown", "ArrowRight"] * 10 + [" "]:
        page.keyboard.press(key)
    until(page, "document.getElementById('teach-read').textContent.includes('sure that this is')")
    page.click("#teach-rubbish")
    until(page, "document.getElementById('teach-read').textContent.endsWith('this is rubbish.')")
    # What the network is asked about a scribble isn't told once the scribble is gone.
    page.evaluate(
        "for (const id of ['rubbish', 'clear']) document.getElementById(`teach-${id}`).click()"
    )
    assert page.is_disabled("#teach-rubbish")
    assert page.inner_text("#teach-read") == ""
    number = page.evaluate(NUMBER)
    until(page, f"{NUMBER} > {number}")
    assert page.inner_text("#teach-read") == ""


@pytest.mark.shipped
def test_handwriting_appears(visit):
    page = visit()
    page.click("#teach-go")
    recognised = "window.deceive.teach.points().some(({ share }) => share >= 0.8)"
    while not page.evaluate(recognised) and page.evaluate(NUMBER) < 300:
        page.wait_for_timeout(200)
    assert page.evaluate(recognised)


@pytest.mark.tolerates_errors
def test_what_cannot_be_fetched_is_told(visit):
    page = visit(routes={"**/digits.gz": {"status": 404}})
    page.click("#teach-go")
    until(
        page, "document.getElementById('teach-said').textContent.includes('The digits could not')"
    )
    assert page.is_enabled("#teach-go")
    assert page.inner_text("#teach-go") == "Start"
