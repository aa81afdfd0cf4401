"""Panel 4 of the page: a network beside the same network behind a guard."""

import json

import pytest
import torch

from deceive import load_data, load_network
from deceive.networks.guarded import Guarded, guard_of
from deceive.networks.inference import logits_of
from deceive.webpage import guarded as fitting
from deceive.webpage.guarded import guarded
from worlds.browser import TOLD, deceived, draw_one, until

SAID = "document.getElementById('guard-said').textContent"


class Scaled(torch.nn.Module):
    """A network whose logits are multiplied."""

    def __init__(self, network, power):
        super().__init__()
        self.network, self.power = network, power

    def forward(self, images):
        return self.power * self.network(images)


@pytest.fixture
def settings(dist):
    return json.loads((dist / "networks" / "manifest.json").read_text())["guarded"]


def asked(page):
    """The sentence that says whether the chosen image passes."""
    page.click("#guard-ask")
    until(page, f"{SAID}.includes('pass')")
    return page.inner_text("#guard-said")


@pytest.mark.shipped
def test_the_answers_put_together_are_those_of_the_guarded_network(visit, settings):
    guard = load_network(settings["guard"]).requires_grad_(False)
    guard_of(guard).head.bias[-1] += settings["expected"]
    reader = Scaled(load_network(settings["reader"]), settings["power"])
    network = Guarded(
        guard, [reader], doubt=settings["doubt"], guard_doubt=settings["guardDoubt"]
    ).eval()
    noise = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    images = torch.cat([load_data().test.images[:12], noise, torch.zeros(1, 1, 28, 28)])
    expected = logits_of(network, images).softmax(1)

    page = visit()
    came = page.evaluate(
        """async (images) => {
            const all = images.map((image) => Float32Array.from(image));
            const answers = await window.deceive.networks.guarded(all);
            return answers.map(({ behind }) => behind);
        }""",
        images.flatten(1).tolist(),
    )
    torch.testing.assert_close(torch.tensor(came), expected, atol=2e-3, rtol=0)
    passes = torch.tensor(came)[:, :10].amax(1) >= settings["threshold"]
    assert passes[:12].sum() >= 10
    assert not passes[12:].any()


@pytest.mark.shipped
def test_what_deceived_the_network_does_not_pass_the_guard(visit, settings):
    page = visit()
    deceived(page, 5, "uniform")
    said = asked(page)
    assert said.startswith(f"Alone, “{settings['reader']}” is 99")
    assert "sure that this is a 5." in said
    assert "“none of these” gets " in said
    assert said.endswith("the image doesn’t pass.")
    assert page.locator("#guard-alone li").count() == 10
    assert page.locator("#guard-behind .label").last.inner_text() == "none"
    assert page.inner_text("#guard-behind .wanted .label") == "none"
    shown = "document.getElementById('{}').toDataURL()"
    same = f"{shown.format('guard-image')} === {shown.format('deceive-image')}"
    assert page.evaluate(same)


@pytest.mark.shipped
def test_it_follows_the_drawing_once_it_was_asked(visit):
    page = visit()
    page.select_option("#guard-source", "drawing")
    assert page.inner_text("#guard-said").startswith("There is no drawing")
    assert page.is_disabled("#guard-ask")
    draw_one(page)
    assert page.inner_text("#guard-said") == ""
    asked(page)
    assert page.inner_text("#guard-alone .wanted .label") == "1"
    page.click("#clear")
    until(page, f"{SAID}.startsWith('There is no drawing')")


@pytest.mark.shipped
def test_static_is_drawn_again(visit):
    page = visit()
    page.select_option("#guard-source", "squares")
    asked(page)
    picture = "document.getElementById('guard-image').toDataURL()"
    before = page.evaluate(picture)
    page.click("#guard-again")
    until(page, f"{SAID}.includes('pass')")
    assert page.evaluate(picture) != before


@pytest.mark.shipped
def test_it_says_how_many_digits_pass(visit, settings):
    words = visit().inner_text("#guard-words")
    assert f"Of {settings['images']:,} real digits, {settings['kept']:.1%} pass" in words
    assert settings["kept"] >= 0.95


def test_where_there_is_no_guard_there_is_no_panel(visit, site_with_rounds):
    page = visit(site_with_rounds)
    assert page.is_hidden("#guard")
    assert page.locator("nav a:visible").count() == 5


@TOLD
@pytest.mark.shipped
def test_a_guard_that_can_not_be_fetched_is_said(visit):
    page = visit(routes={"**/resist.onnx": {"status": 404}})
    page.select_option("#guard-source", "squares")
    page.click("#guard-ask")
    until(page, f"{SAID}.includes('404')")
    assert "could not be fetched" in page.inner_text("#guard-said")


def test_a_guard_is_fitted_once(tmp_path, monkeypatch):
    described = {
        "default": "fast",
        "networks": {"fast": {"weights": "a"}, "resist": {"weights": "b"}},
    }
    fitted = []

    def refuse(*arguments, **options):
        fitted.append(arguments)
        raise InterruptedError

    monkeypatch.setattr(fitting, "guard", refuse)
    stages = []
    with pytest.raises(InterruptedError):
        guarded(tmp_path, described, None, stages.append)
    assert stages == ["fitting the guard to fast"]
    assert fitted == [(str(tmp_path / "fast.safetensors"),)]
    known = {"madeOf": ["b", "a", fitting.checksum(fitting._GUARDING.glob("*.py"))], "kept": 0.95}
    assert guarded(tmp_path, described, known, stages.append) is known
    changed = described | {"networks": {"fast": {"weights": "a"}}}
    assert guarded(tmp_path, changed, known, stages.append) is None
    assert len(fitted) == 1
