"""A newcomer's first minutes on the page, at human pace: `python web/first_minutes.py FOLDER`.

It says when what is on the screen, and puts a picture every two seconds into the folder, in a
window or, with `phone`, on a phone's screen (docs/laboratory/first-two-minutes.md).
"""

import shutil
import sys
import threading
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from screenshots import FIVE, FLAGS

from deceive.webpage.build import build
from deceive.webpage.serving import server

SCREENS = {
    "window": {"viewport": {"width": 1440, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "has_touch": True,
        "is_mobile": True,
    },
}
PICTURES = 2.0  # seconds from one to the next
LONGEST = 125.0  # seconds that the visit may take
SHARES = (0.5, 0.8, 0.9)  # recognised by the judge in the panel Teach


class Visit:
    """One visitor, the clock, and the pictures."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder
        self.began, self.pictured = time.monotonic(), -PICTURES

    @property
    def now(self) -> float:
        """Seconds since the page was opened."""
        return time.monotonic() - self.began

    def say(self, what: str) -> None:
        """Print it with the time."""
        print(f"{self.now:6.1f} s  {what}", flush=True)

    def live(self, seconds: float) -> None:
        """Wait, and take pictures."""
        end = self.now + seconds
        while self.now < end:
            if self.now - self.pictured >= PICTURES:
                self.pictured = self.now
                self.page.screenshot(path=self.folder / f"{self.now:05.1f}.png")
            self.page.wait_for_timeout(max(10, min(200, 1000 * (end - self.now))))

    def scroll_to(self, selector: str, below: int = 70) -> None:
        """Turn the wheel, notch by notch, until it is this far below the upper edge."""
        for _ in range(60):
            box = self.page.locator(selector).bounding_box()
            assert box is not None
            if abs(box["y"] - below) < 70:
                break
            self.page.mouse.wheel(0, max(-120, min(120, box["y"] - below)))
            self.live(0.12)
        self.say(f"scrolled to {selector}")

    def click(self, selector: str) -> None:
        """Scroll to it if it is below the screen, travel there, and click."""
        place, height = self.page.locator(selector), self.page.viewport_size["height"]
        while (box := place.bounding_box())["y"] > height - 160:
            self.page.mouse.wheel(0, 60)
            self.live(0.12)
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=12)
        self.live(0.3)
        self.page.mouse.down()
        self.page.mouse.up()
        self.say(f"clicked {selector}")

    def draw_a_five(self) -> None:
        """Draw with the mouse."""
        box = self.page.locator("#pad").bounding_box()
        for points in FIVE:
            at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
            self.page.mouse.move(*at[0], steps=8)
            self.page.mouse.down()
            for point in at[1:]:
                self.page.mouse.move(*point, steps=8)
                self.live(0.15)
            self.page.mouse.up()
            self.live(0.2)

    def watch_it_learn(self) -> None:
        """Say when the judge recognises each share of the images."""
        ahead, started = list(SHARES), self.now
        while self.now < LONGEST and (ahead or self.now - started < 12):
            self.live(0.25)
            points = self.page.evaluate("deceive.teach.points()")
            while ahead and points and points[-1]["share"] >= ahead[0]:
                self.say(f"{ahead.pop(0):.0%} recognised, round {points[-1]['number']}")


def play(visit: Visit, screen: str) -> None:
    """The story, a drawing, a deception, and a network taught."""
    page = visit.page
    page.wait_for_selector("html[data-interactive]", state="attached")
    visit.say("a drawing could be read")
    visit.live(7)
    visit.say("story: " + " | ".join(page.locator("#story .state").all_inner_texts()))
    visit.live(9)
    visit.scroll_to("#draw")
    visit.live(4)
    if screen == "phone":
        visit.scroll_to("#pad", 120)
    visit.draw_a_five()
    visit.say(page.inner_text("#draw-said"))
    visit.live(3)
    visit.scroll_to("#deceive")
    visit.live(6)
    visit.click("#deceive-go")
    page.wait_for_selector("#deceive-again:enabled")
    visit.say(page.inner_text("#deceive-said"))
    visit.live(8)
    visit.scroll_to("#rounds")
    visit.live(6)
    visit.scroll_to("#teach")
    visit.live(10)
    visit.click("#teach-go")
    visit.watch_it_learn()
    visit.live(4)
    visit.say("end")


def main(folder: Path, screen: str = "window") -> None:
    """Build the page, serve it, and visit it."""
    dist = build()
    folder.mkdir(parents=True, exist_ok=True)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with server(dist) as serving, sync_playwright() as driver:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_context(**SCREENS[screen]).new_page()
        page.on("pageerror", lambda error: print("error:", error))
        visit = Visit(page, folder)
        page.goto(f"http://127.0.0.1:{serving.server_port}/")
        play(visit, screen)
        browser.close()
        serving.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
