"""The page in any window, colours and device; with what is missing or fails."""

import urllib.request

import numpy as np
import pytest

from deceive.webpage.build import CLONE
from worlds.browser import DRAW_SAID, PHONE, TOLD, choose_network, deceived, draw_one, race, until

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
def test_nothing_keeps_a_user_out(visit, scheme, width):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    assert violations(page) == []
    draw_one(page)
    deceived(page, 5)
    race(page, "4")
    assert violations(page) == []
    for path in sorted((CLONE / "web/dist/notebooks").iterdir())[:1]:
        page.goto(page.url + f"notebooks/{path.name}")
        assert page.locator("main").inner_text().strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawings_of_the_rounds_keep_no_user_out_either(visit, site_with_rounds, scheme):
    page = visit(site_with_rounds, color_scheme=scheme, **PHONE)
    race(page, "all")
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
    image = page.locator("#deceive-image").bounding_box()
    assert image["y"] > 0  # it came into sight
    assert image["y"] + image["height"] <= 845
    race(page, "all")
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
    source = "https://github.com/OWNER/deceive"
    for link in {link.split("#")[0] for link in links} - {source}:
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
    choose_network(page, "study")
    page.click("#deceive-go")
    until(
        page, "document.getElementById('deceive-said').textContent.includes('“study” could not be')"
    )
    assert page.is_enabled("#deceive-go")
    assert "sure that this is a 5" in deceived(page, 5, network="fast")
    race(page, "all")
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
    assert "If this sentence stays, your browser can’t run the page" in page.inner_text("#boot")
