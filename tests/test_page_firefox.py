"""The page in Firefox."""

import pytest
import torch

from deceive import load_network
from worlds.browser import unavailable
from worlds.firefox import firefox, found

STROKE = """
const pad = document.getElementById("pad");
pad.scrollIntoView();
const box = pad.getBoundingClientRect();
const send = (kind, share) => pad.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, button: 0, buttons: 1, bubbles: true,
    clientX: box.left + box.width / 2, clientY: box.top + share * box.height,
}));
pad.setPointerCapture = () => {};  // of a pointer that is no hand's
send("pointerdown", 0.15);
for (let share = 0.2; share < 0.85; share += 0.05) send("pointermove", share);
send("pointerup", 0.85);
"""
TEXT = "document.getElementById('{}').textContent"


@pytest.mark.shipped
def test_firefox_reads_a_drawing_and_deceives(site, tmp_path):
    path = found()
    if path is None:
        unavailable("no Firefox: `apt-get install firefox-esr`")
    with firefox(path, tmp_path / "profile") as page:
        page.open(site)
        page.until("'ready' in document.documentElement.dataset")
        # Both images of the first screen arrive at their 5.
        page.until(f"/“5”: 99.*“5”: 99/s.test({TEXT.format('story-lanes')})")
        page.run(STROKE)
        page.until(f"{TEXT.format('draw-said')}.startsWith('It reads 1')")
        page.run("document.getElementById('deceive-go').click()")
        page.until(f"{TEXT.format('deceive-said')}.includes('sure that this is a 5')")
        levels = page.run(
            "const {data} = document.getElementById('deceive-image').getContext('2d')"
            ".getImageData(0, 0, 28, 28); return [...data].filter((_, k) => k % 4 === 0);"
        )
    image = torch.tensor(levels).view(1, 1, 28, 28).float() / 255
    assert load_network("fast")(image).softmax(1)[0, 5] >= 0.989  # a canvas may round levels
