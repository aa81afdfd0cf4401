"""The moving picture at the top of the README: `python -m tools.moving_picture`.

Ten squares of static deceive `fast` and stay static. The same ten, by the same method, deceive
`one` only as handwriting. Every frame is an image that was really passed on the way.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import deceive
from deceive.common.files import replacing
from deceive.fooling.result import FoolingResult
from deceive.networks.inference import logits_of

PLACE = Path(__file__).resolve().parents[1] / "images" / "deceive.webp"

_SCALE = 4  # of a pixel
_SIDE, _GAP, _EDGE = 28 * _SCALE, 16, 24
_WIDTH = 5 * _SIDE + 4 * _GAP + 2 * _EDGE
_HEIGHT = 396
_INK, _FAINT, _SURE = "#1d1d1f", "#6e6e73", "#d1371f"
_JUDGES = ("judge", "study", "judge-in-noise")

# What is written above the images, and below them.
_START = "Ten squares of static", "Each has a digit as its target."
_FAST = "Deceive a network that reads digits", "It is right 99.5% of the time."
_FOOLED = "It is now at least 99% sure of every one", "None of them shows a digit."
_TAUGHT = (
    "Teach a network that this is rubbish",
    "Deceive it again. Repeat that thousands of times.",
)
_AGAIN = "The same static, the same method", "Now against the network after those rounds."
_DRAWN = "Now it takes handwriting", "Three other networks read all ten."


def film(fast: FoolingResult, one: FoolingResult) -> Iterator[tuple[Image.Image, int]]:
    """The frames, with the milliseconds that each is shown."""
    yield frame(fast, 0, _START, bare=True), 2000
    for step in range(_last(fast) + 1):
        yield frame(fast, step, _FAST), 180
    yield frame(fast, _last(fast), _FOOLED), 3500
    yield frame(fast, _last(fast), _TAUGHT, crossed=True), 3500
    for step in (*range(30), *range(30, _last(one) + 1, 2)):
        yield frame(one, step, _AGAIN), 110
    yield frame(one, _last(one), _DRAWN), 5000


def frame(
    result: FoolingResult,
    step: int,
    words: tuple[str, str],
    *,
    bare: bool = False,
    crossed: bool = False,
) -> Image.Image:
    """Ten images after so many steps, or at their own last ones, with the network's confidence."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    middle = _WIDTH / 2
    draw.text((middle, 28), words[0], fill=_INK, font=_font(22, bold=True), anchor="mm")
    draw.text((middle, 58), words[1], fill=_FAINT, font=_font(16), anchor="mm")
    for place, way in enumerate(result.trajectories or ()):
        now = min(step, len(way.levels) - 1)
        down, across = divmod(place, 5)
        left = _EDGE + across * (_SIDE + _GAP)
        top = 84 + down * (_SIDE + 40)
        image = Image.fromarray(way.levels[now, 0].numpy())
        picture.paste(image.resize((_SIDE, _SIDE), Image.Resampling.NEAREST), (left, top))
        if crossed:
            corners = (left, top, left + _SIDE - 1, top + _SIDE - 1)
            draw.line(corners, fill=_SURE, width=4)
            draw.line((left, corners[3], corners[2], top), fill=_SURE, width=4)
        if bare:
            continue
        confidence, target = way.confidence[now].item(), int(result.targets[place])
        sure = confidence >= 0.99
        said = "rubbish" if crossed else f"“{target}” {_percent(confidence)}"
        colour = _SURE if sure or crossed else _FAINT
        centre = (left + _SIDE / 2, top + _SIDE + 14)
        draw.text(centre, said, fill=colour, font=_font(15, bold=sure), anchor="mm")
    return picture


def write(frames: list[tuple[Image.Image, int]], path: Path) -> int:
    """An animated WebP that loses nothing; gives its bytes."""
    content = io.BytesIO()
    (first, *rest), times = zip(*frames, strict=True)
    first.save(
        content,
        format="webp",
        save_all=True,
        append_images=rest,
        duration=list(times),
        loop=0,
        lossless=True,
        method=6,
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return len(content.getvalue())


def seen(images: torch.Tensor, name: str) -> list[int]:
    """The digit that a network sees in each image."""
    return logits_of(deceive.load_network(name), images)[:, :10].argmax(1).tolist()


def main() -> None:
    """Deceive both networks from the same static; write the film if its captions are true."""
    made = {
        name: deceive.fool(deceive.load_network(name), range(10), seed=0, trajectory=True)
        for name in ("fast", "one")
    }
    for name, result in made.items():
        print(f"{name}: {result}, {_last(result)} steps at most")
        for judge in _JUDGES:
            print(f"  {judge} sees", *seen(result.images, judge))
    assert all(result.fooled.all() for result in made.values())
    assert all(seen(made["one"].images, judge) == list(range(10)) for judge in _JUDGES)
    frames = list(film(made["fast"], made["one"]))
    print(f"{len(frames)} frames, {write(frames, PLACE):,} bytes: {PLACE.name}")


def _last(result: FoolingResult) -> int:
    return int(result.steps.max())


def _percent(confidence: float) -> str:
    """Rounded down, so that nothing below 99% is shown as 99%."""
    return f"{int(np.floor(confidence * 100))}%"


def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / name, size)


if __name__ == "__main__":
    main()
