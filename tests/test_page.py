"""The three panels of the page, in a real browser."""

import json

import pytest
import torch

from deceive import load_data, load_network
from deceive.fooling.drawing import DRAWING
from deceive.storage.models import load_card
from deceive.storage.shipped import shipped_names
from worlds.browser import DRAW_SAID, choose_network, deceived, draw_one, race, saved, stroke, until

SAID = "document.getElementById('deceive-said').textContent"
STEPS = DRAWING.schedule.steps


# Panel 1.


# Shipped classifiers that the page shows, besides those of the rounds that draw.
CLASSIFIERS = [
    name for name in shipped_names() if load_card(name).round is None and name != "detector"
]


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
        assert f"sure that this is {'an' if target == 8 else 'a'} {target}" in said
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
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_is_deceived(visit, name):
    page = visit()
    deceived(page, 3, network=name)
    assert load_network(name)(saved(page)).softmax(1)[0, 3] >= 0.99


@pytest.mark.shipped
def test_what_deceives_those_that_resist_is_the_digit(visit):
    page, seen = visit(), {}
    for name in ("fast", "resist", "one"):
        deceived(page, 6, "blank", network=name)
        image = saved(page)
        assert load_network(name)(image).softmax(1)[0, 6] >= 0.99
        judges = (load_network(judge) for judge in ("judge", "study", "judge-in-noise"))
        seen[name] = sum(judge(image)[0, :10].argmax().item() == 6 for judge in judges)
    assert seen["fast"] < 2 <= min(seen["resist"], seen["one"])


@pytest.mark.shipped
def test_the_drawing_is_taken_over(visit):
    page = visit()
    page.select_option("#deceive-start", "drawing")
    assert "Your drawing is empty" in page.inner_text("#deceive-said")
    assert page.is_disabled("#deceive-go")
    draw_one(page)
    page.click("#draw-use")  # it reads a 1, so another digit is asked for, at once
    assert page.input_value("#deceive-start") == "drawing"
    until(page, f"{SAID}.includes('sure that this is a 5')")
    page.locator("#deceive-targets label", has_text="1").click()
    page.click("#draw-use")
    until(page, f"{SAID}.includes('sure that this is a 6')")
    assert "sure that this is a 1" in deceived(page, 1)


@pytest.mark.shipped
def test_play_pause_single_steps_and_looking_back(visit):
    page = visit()
    page.select_option("#deceive-speed", "2")
    page.click("#deceive-step")
    until(page, "document.querySelector('#deceive-curve polyline')?.points.length === 1")
    page.click("#deceive-step")
    until(page, "document.querySelector('#deceive-curve polyline')?.points.length === 2")
    assert page.inner_text("#deceive-steps") == "1"
    page.click("#deceive-pause")  # it says Play
    until(page, "Number(document.getElementById('deceive-steps').textContent) >= 3")
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


# Panel 3.


@pytest.mark.shipped
def test_sliding_through_the_networks(visit, without_rounds):
    page = visit(routes=without_rounds)
    names = CLASSIFIERS
    race(page, "all")
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
    race(page, "4")
    assert page.locator("#rounds-chosen figure").count() == 1
    assert page.inner_text("#rounds-chosen figcaption").startswith("“4” 99.")


def test_networks_of_rounds_draw_by_their_own_ascent(visit, site_with_rounds):
    page = visit(site_with_rounds)
    assert "That is a round." in page.inner_text("#rounds-words")
    assert f"takes {STEPS} steps" in page.inner_text("#rounds-words")
    assert page.inner_text("#rounds-label") == "Round 10: reads 91.00% of real digits"
    race(page, "all")
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
    assert "draws" not in page.inner_text("#deceive-how")
    choose_network(page, "rounds-000010")
    assert f"every image takes {STEPS} steps" in page.inner_text("#deceive-how")
    assert page.locator("#deceive-bars .label").last.inner_text() == "rubbish"
    assert page.locator("#deceive-targets input").count() == 10
    said = deceived(page, 3)
    assert said.startswith(f"After {STEPS} steps")
    assert page.inner_text("#deceive-steps") == str(STEPS)
    choose_network(page, "fast")
    assert "draws" not in page.inner_text("#deceive-how")
    assert "sure that this is a 3" in deceived(page)


@pytest.mark.shipped
@pytest.mark.skipif(
    sum(load_card(name).round is not None for name in shipped_names()) < 2,
    reason="networks of the rounds are not among the models",
)
def test_static_at_the_first_round_and_handwriting_at_the_last(visit):
    page = visit()
    race(page, "all")
    assert page.locator("#rounds-chosen .agrees").count() >= 9
    page.focus("#rounds-slider")
    page.keyboard.press("Home")
    assert page.locator("#rounds-chosen .agrees").count() <= 4
