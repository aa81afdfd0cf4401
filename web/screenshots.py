"""Pictures of the panels, as somebody would see them.

`python web/screenshots.py` makes those in `images/`, which the documentation shows; with a folder,
it writes all panels there, in dark mode and on a phone too.
"""

import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from deceive.webpage.build import build
from deceive.webpage.serving import server

# A 5, drawn in one line and a dash, as shares of the drawing area.
FIVE = (
    ((0.36, 0.2), (0.33, 0.46), (0.5, 0.43), (0.63, 0.52), (0.64, 0.68), (0.53, 0.8), (0.34, 0.77)),
    ((0.36, 0.2), (0.66, 0.18)),
)
TAUGHT = 0.95  # the share that the judge recognises when panel 4 is photographed
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LOOKS = {
    "": {"viewport": {"width": 1180, "height": 900}, "device_scale_factor": 1.5},
    "_dark": {
        "viewport": {"width": 1180, "height": 900},
        "device_scale_factor": 1.5,
        "color_scheme": "dark",
    },
    "_phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}


PANELS = ("draw", "deceive", "rounds", "teach", "guard")
SHOWN = ("deceive", "rounds", "teach")  # in the documentation


def play(page: Page) -> None:
    """Draw a digit, deceive once, teach until handwriting is there, and ask the guard.

    Panel 3 shows all ten digits, as they were recorded.
    """
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    for points in FIVE:
        at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*at[0])
        page.mouse.down()
        for point in at[1:]:
            page.mouse.move(*point, steps=6)
        page.mouse.up()
    page.click("#deceive-go")
    page.wait_for_selector("#deceive-again:enabled")
    page.wait_for_timeout(500)  # for the judge
    page.locator("#rounds-targets label", has_text="all").click()
    page.wait_for_selector("#rounds-chosen .agrees")
    page.click("#guard-ask")
    page.wait_for_selector("#guard-behind .wanted")
    page.click("#teach-go")
    while (page.evaluate("deceive.teach.points().at(-1)?.share") or 0) < TAUGHT:
        page.wait_for_timeout(200)
    page.click("#teach-go")  # pauses
    page.wait_for_selector("#teach-back:enabled")
    page.evaluate(
        "document.activeElement.blur(); document.querySelector('.top').style.position = 'static'"
    )


def main(folder: Path, looks: Sequence[str], panels: Sequence[str]) -> None:
    """Write `page_draw.png` and so on for these panels and looks."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with server(build()) as serving, sync_playwright() as driver:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        for look in looks:
            page = browser.new_page(reduced_motion="reduce", **LOOKS[look])
            page.goto(f"http://127.0.0.1:{serving.server_port}/")
            page.wait_for_selector("html[data-ready]")
            play(page)
            for panel in panels:
                name = folder / f"page_{panel}{look}.png"
                page.locator(f"#{panel}").screenshot(path=name, animations="disabled")
        browser.close()
        serving.shutdown()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]), list(LOOKS), PANELS)
    else:
        main(Path(__file__).resolve().parents[1] / "images", [""], SHOWN)
