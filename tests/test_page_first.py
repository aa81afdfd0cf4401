"""The first screen of the page, links to images, and what is there before all networks are."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from deceive import export_onnx, load_network
from worlds.browser import DRAW_SAID, TOLD, deceived, draw_one, saved, until

DECEIVE_SAID = "document.getElementById('deceive-said').textContent"
LATE = """(() => {
    const [asked, after] = [fetch, 1500];
    window.fetch = (...all) => new Promise((go) => setTimeout(go, after)).then(() => asked(...all));
})()"""
SCRAMBLED = """(() => {
    const { getImageData } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.getImageData = function (...all) {
        const image = getImageData.apply(this, all);
        image.data.forEach((_, k) => (image.data[k] = 255 * Math.random()));
        return image;
    };
})()"""


@pytest.mark.shipped
def test_it_opens_with_static_beside_handwriting(visit):
    asked = []
    page = visit(ready=False)
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_selector("#story-live:enabled")
    states = page.locator("#story .state").all_inner_texts()
    assert [state[:6] for state in states] == ["“5”: 9"] * 2
    assert "(1.5 MB)" in page.inner_text("#story-live")
    assert not any("resist" in url for url in asked)
    for digit in (5, 8):  # the ordinary network is sure that static is an 8: no step is needed
        page.evaluate(f"Math.random = () => {digit / 10 + 0.01}")
        page.click("#story-live")
        until(page, "document.getElementById('story-said').textContent.startsWith('Computed')")
        page.wait_for_selector("#story-live:enabled")
        for state in page.locator("#story .state").all_inner_texts():
            assert state.startswith(f"“{digit}”: 99.") or state == f"“{digit}”: 100.0% sure", state
    assert any("resist" in url for url in asked)


@TOLD
def test_a_recording_that_fails_is_said_and_other_static_can_be_asked_for(visit):
    page = visit(routes={"**/story.bin": {"status": 404}})
    page.wait_for_selector("#story-live:enabled")
    until(page, "document.getElementById('story-said').textContent.includes('could not be')")
    assert page.inner_text("#story-said").startswith("The recorded deception could not be fetched")
    assert page.locator("#story .state").all_inner_texts() == ["static", "static"]


@pytest.mark.shipped
def test_the_rounds_are_shown_before_any_is_fetched(visit):
    asked = []
    page = visit(ready=False)
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_selector("html[data-ready]")
    until(page, "document.getElementById('rounds-said').textContent.startsWith('Recorded')")
    assert page.locator(".lane").first.bounding_box()["x"] > 0
    assert page.evaluate("document.getElementById('rounds-strip').scrollLeft") == 0
    page.locator("#rounds-targets label", has_text="all").click()
    assert page.locator("#rounds-chosen .agrees").count() >= 9
    page.focus("#rounds-slider")
    page.keyboard.press("Home")
    assert page.locator("#rounds-chosen .agrees").count() <= 3
    assert "(fetches 15.1 MB)" in page.inner_text("#rounds-go")
    assert not any("rounds-" in url for url in asked)
    page.locator("#rounds-targets label", has_text="3").click()
    page.click("#rounds-one")
    page.wait_for_selector("#rounds-one:enabled")
    assert [url.rsplit("/")[-1] for url in asked if "rounds-" in url] == ["rounds-000000.onnx"]


@pytest.mark.shipped
@TOLD
def test_the_light_copy_reads_and_is_deceived_alone(visit):
    page = visit(ready=False, routes={"**/fast.onnx": {"status": 500}})
    page.wait_for_selector("html[data-interactive]")
    draw_one(page)
    assert page.inner_text("#draw-said").startswith("It reads 1")
    for target in (3, 8):
        assert "sure that this is" in deceived(page, target, "uniform")
        assert load_network("fast")(saved(page)).softmax(1)[0, target] >= 0.99
    assert "“fast” could not be fetched" in page.inner_text("#boot")


@pytest.mark.shipped
def test_strokes_before_the_network_is_there_are_kept_and_nothing_jumps(visit):
    page = visit(ready=False, script=LATE)
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    before = pad.bounding_box()
    box = before
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.85, steps=8)
    page.mouse.up()
    until(page, f"{DRAW_SAID}.startsWith('It will be read')")
    until(page, f"{DRAW_SAID}.startsWith('It reads 1')")
    page.wait_for_selector("html[data-ready]")
    assert pad.bounding_box() == before


@pytest.mark.shipped
def test_a_browser_that_scrambles_canvases_changes_no_reading(visit):
    page = visit(script=SCRAMBLED)
    draw_one(page)
    assert page.inner_text("#draw-said").startswith("It reads 1")


@TOLD
def test_a_host_that_answers_with_a_page_where_a_file_is_missing(visit):
    for name, answer in (
        ("The list of networks", {"content_type": "text/html", "body": "<!doctype html>"}),
        ("The list of networks", {"content_type": "text/plain", "body": "<!doctype html>"}),
    ):
        page = visit(ready=False, routes={"**/manifest.json": answer})
        page.wait_for_selector("#boot.problem")
        assert page.inner_text("#boot").startswith(f"{name} could not be ")
        assert "JSON" not in page.inner_text("#boot")


@pytest.mark.shipped
def test_a_link_leads_to_exactly_this_image_in_both_sizes(visit, site):
    page = visit()
    deceived(page, 4, "gaussian")
    first = saved(page)
    address = page.url
    assert "digit=4&start=gaussian&seed=" in address
    assert "network=fast" in address
    page.click("#deceive-link")
    until(page, "document.getElementById('deceive-said').textContent.includes('link is')")
    with page.expect_download() as download:
        page.click("#deceive-large")
    content = Path(download.value.path()).read_bytes()
    assert int.from_bytes(content[16:20], "big") == 16 * 28
    again = visit(address)
    again.wait_for_selector("#deceive-again:enabled")
    assert torch.equal(saved(again), first)
    # What a link can't mean is left out.
    odd = visit(site + "?digit=99&start=none&seed=x&network=__proto__")
    odd.wait_for_selector("#deceive-again:enabled")
    assert "sure that this is a 5" in odd.inner_text("#deceive-said")


@pytest.fixture
def hosted(dist, tmp_path):
    """The URL of the page in a folder of an ordinary host, as GitHub Pages has it."""
    (tmp_path / "deceive").mkdir()
    (tmp_path / "deceive" / "play").symlink_to(dist)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}/deceive/play/"
        host.shutdown()


@pytest.mark.shipped
def test_it_works_in_a_folder_of_any_host(visit, hosted):
    page = visit(hosted)
    draw_one(page)
    assert "sure that this is a 3" in deceived(page, 3, "uniform")
    assert page.url.startswith(hosted + "?digit=3")
    page.click("#teach-go")
    until(page, "Number(document.getElementById('teach-number').textContent) > 0")


@pytest.mark.shipped
def test_the_menu_says_what_each_network_is(visit):
    page = visit()
    options = page.locator("#deceive-network option").all_inner_texts()
    assert len(options) == 5
    assert any("taught rubbish 30,000 times: draws" in option for option in options)
    page.click("#deceive-more")
    assert page.locator("#deceive-network option").count() > 10
    assert page.locator("#deceive-network optgroup").count() == 2
    assert page.input_value("#deceive-network") == "fast"
    assert page.is_hidden("#deceive-more")


def own(page, path):
    page.set_input_files("#deceive-file", path)
    until(page, f"{DECEIVE_SAID} !== 'Starting your network …'")
    return page.inner_text("#deceive-said")


@pytest.mark.shipped
@TOLD
def test_a_visitors_own_network(visit, dist, tmp_path):
    export_onnx(load_network("fast"), tmp_path / "answers.onnx", gradient=False)
    (tmp_path / "none.onnx").write_bytes(b"nothing")
    wide = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 32, 32])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [wide], [])
    graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3, 32, 32]))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "wide.onnx")
    page = visit()
    assert "as a network: it is no ONNX file." in own(page, tmp_path / "none.onnx")
    assert "your network takes N × 3 × 32 × 32" in own(page, tmp_path / "wide.onnx")
    page.select_option("#deceive-start", "smooth")
    for name, how in (("fast.onnx", "has its gradient"), ("answers.onnx", "has no gradient")):
        folder = tmp_path if name == "answers.onnx" else dist / "networks"
        assert own(page, folder / name) == ""
        assert page.input_value("#deceive-network") == "own"
        assert how in page.inner_text("#deceive-how")
        # What it makes of the start is there before the first step.
        until(
            page,
            "(document.querySelector('#deceive-bars .wanted .value')?.textContent ?? '–') !== '–'",
        )
        assert "sure that this is a 7" in deceived(page, 7)
        assert load_network("fast")(saved(page)).softmax(1)[0, 7] >= 0.99
        assert page.is_disabled("#deceive-link")
