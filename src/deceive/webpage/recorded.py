"""Deceptions that the page shows before any network is there, recorded when it is built."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deceive.common.files import replacing
from deceive.common.levels import from_levels
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import draw
from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.networks.guarded import Network
from deceive.storage.models import load_network
from deceive.webpage.asked import asked_card, asked_network
from deceive.webpage.built import checksum

_PACKAGE = Path(__file__).resolve().parents[1]
_MADE_BY = ("fooling/*.py", "networks/*.py", "webpage/recorded.py", "webpage/card.py")
_DIGIT = 5  # of the first screen
_SEED = 1

Report = Callable[[str], None]


def recorded(
    models: Path, folder: Path, described: dict[str, Any], known: Any, report: Report
) -> dict[str, Any]:
    """Write `story.bin`, `previews.bin` and `card.png`; what the manifest says about them.

    Both hold levels, one byte a pixel. `story.bin` has every step from the same static to a “5”,
    first against the page's default network, then against the one that resists. `previews.bin` has
    ten squares of static, then for each network of panel 3 what they become. `card.png` is what
    other sites show with a link.

    Args:
        models: the folder of the networks.
        folder: where the files go.
        described: the manifest, with the networks' weights.
        known: the same of an earlier build, or anything else; it is used if it is up to date.
        report: is told when something is recorded.
    """
    networks = described["networks"]
    code = checksum(path for files in _MADE_BY for path in _PACKAGE.glob(files))
    made_of = [code, *(f"{name} {one['weights']}" for name, one in networks.items())]
    files = (folder / "story.bin", folder / "previews.bin")
    card = folder / "card.png"
    fresh = isinstance(known, dict) and known.get("madeOf") == made_of
    if fresh and all(path.is_file() for path in (*files, card)):
        return dict(known)
    report("recording what the page shows first")
    story, frames = _story(models, described)
    previews, images = _previews(models, described)
    for path, levels in zip(files, (frames, images), strict=True):
        with replacing(path) as temporary:
            temporary.write_bytes(levels.numpy().tobytes())
    _write_card(card, story, frames)
    return {"story": story, "previews": previews, "madeOf": made_of}


def _write_card(path: Path, story: list[dict[str, Any]], frames: Tensor) -> None:
    """The last frames of the story, with what the networks say, for links from other sites."""
    from deceive.auditing.shares import sure
    from deceive.webpage.card import write_card  # it imports Matplotlib

    names = ("Ordinary", "Taught rubbish")
    ends = torch.tensor([len(each["confidences"]) for each in story]).cumsum(0) - 1
    says = [
        f"{name}: “{each['digit']}”, {sure(each['confidences'][-1])} sure"
        for name, each in zip(names, story, strict=False)
    ]
    write_card(path, frames[ends].numpy(), says)


def _story(models: Path, described: dict[str, Any]) -> tuple[list[dict[str, Any]], Tensor]:
    """For each of two networks its confidences, step by step; the frames (F, H, W) of both."""
    names = [described["default"], *(name for name in described["menu"] if name == "resist")]
    told, frames = [], []
    for name in names:
        network = load_network(models / f"{name}.safetensors")
        result = fool(network, _DIGIT, seed=_SEED, trajectory=True)
        assert result.trajectories is not None
        (way,) = result.trajectories
        confidences = [round(float(each), 4) for each in way.confidence]
        told.append({"network": name, "digit": _DIGIT, "confidences": confidences})
        frames.append(way.levels[:, 0])
    return told, torch.cat(frames)


def _previews(models: Path, described: dict[str, Any]) -> tuple[list[dict[str, Any]], Tensor]:
    """For each network of panel 3 its confidences and the judge's; (10 + networks × 10, H, W)."""
    judge = described["judge"]
    judging = None if judge is None else load_network(models / f"{judge}.safetensors")
    starts = begin("uniform", range(10), (1, 28, 28), _SEED)
    levels, told = [(starts[:, 0] * 255).round().to(torch.uint8)], []
    for lane in described["rounds"]:
        name = lane["network"]
        network, ascent = asked_network(models, name), asked_card(models, name).ascent or Ascent()
        result = _ended(network, starts, ascent)
        row = {
            "network": name,
            "confidences": [round(float(each), 4) for each in result.confidence],
            "steps": result.steps.tolist(),
            "fooled": result.fooled.tolist(),
        }
        if judging is not None and judge != name:
            with torch.no_grad():
                row["judged"] = judging(from_levels(result.levels)).argmax(1).tolist()
        told.append(row)
        levels.append(result.levels[:, 0])
    return told, torch.cat(levels)


def _ended(network: Network, starts: Tensor, ascent: Ascent) -> Any:
    """The ten digits, as panel 3 makes them: by a network's own ascent."""
    digits = range(10)
    if ascent.schedule is None:
        return fool(network, digits, start=starts, steps=300, seed=_SEED)
    return draw(
        network, digits, start=starts, seed=_SEED, polish=None, accepted=None, ascent=ascent
    )
