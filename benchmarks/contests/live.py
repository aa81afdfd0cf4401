"""Rounds played live in the page: seconds until the judge recognises what deceives the network."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.browser import browser
from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import Spread
from deceive.common import markdown
from deceive.data.loading import load_data
from deceive.fooling.drawing import draw
from deceive.judging.measures import agreement
from deceive.networks.guarded import Network
from deceive.storage.models import load_network
from deceive.training.recipes import build_network
from deceive.webpage.lesson import LIVE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHARES = (0.8, 0.9)


@dataclass(frozen=True)
class Plan:
    """How large it is."""

    networks: int = 5
    """How many networks are taught, each from other weights."""
    seconds: float = 60
    """How long each is taught."""
    drawn: int = 100
    """Images of each class that the library draws with the network at the end."""


QUICK = Plan(networks=1, seconds=5, drawn=2)

# The looks with the seconds since the click, and the longest frame meanwhile, by the page's clock.
_WATCHED = """async (seconds) => {
    const { teach } = window.deceive;
    const began = performance.now();
    let [last, longest, over] = [began, 0, 0];
    const looks = [];
    document.getElementById("teach-go").click();
    while (last - began < 1000 * seconds) {
        const now = await new Promise((resolve) => requestAnimationFrame(resolve));
        longest = Math.max(longest, now - last);
        over += now - last > 100;
        last = now;
        const points = teach.points();
        while (looks.length < points.length)
            looks.push({ seconds: (now - began) / 1000, ...points[looks.length] });
    }
    document.getElementById("teach-go").click();
    const rounds = Number(document.getElementById("teach-number").textContent.replace(",", ""));
    return { looks, rounds, longest, over };
}"""

_WEIGHTS = """async () => [...(await window.deceive.teach.ask("weights"))]"""


def run(plan: Plan) -> Iterator[Row]:
    """Teach one network after the other, each in a page of its own."""
    started, rows = facts(), []
    with browser() as (chromium, url):
        for _ in range(plan.networks):
            page = chromium.new_page()
            page.goto(url)
            page.wait_for_selector("html[data-ready]")
            page.wait_for_load_state("networkidle")
            rows.append(_taught(chromium, page, plan))
            page.close()
        started |= {"chromium": chromium.version}
    yield {"facts": started, "plan": {"seconds": plan.seconds, "drawn": plan.drawn}, "rows": rows}


def _taught(chromium: "Browser", page: "Page", plan: Plan) -> Row:
    page.set_default_timeout(0)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        chromium.start_tracing(page=page, path=trace, categories=["toplevel"])
        came: dict[str, Any] = page.evaluate(_WATCHED, plan.seconds)
        chromium.stop_tracing()
        longest = _longest_task(json.loads(trace.read_text())["traceEvents"])
    network = _network(page.evaluate(_WEIGHTS))
    drawn = draw(
        network,
        range(10),
        count=plan.drawn,
        polish=None,
        accepted=None,
        ascent=LIVE.ascent,
    )
    return {
        "looks": came["looks"],
        "rounds": came["rounds"],
        "longest_frame_milliseconds": came["longest"],
        "frames_over_100_milliseconds": came["over"],
        "longest_task_milliseconds": longest,
        "agreement": agreement(load_network("judge"), drawn.images, drawn.targets),
    }


def _longest_task(events: list[dict[str, Any]]) -> float:
    """The most processor time that a task of a page's main thread took, in milliseconds."""
    main = {
        _thread(each)
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    times = [each["tdur"] for each in events if "tdur" in each and _thread(each) in main]
    return float(max(times)) / 1000


def _thread(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]


def _network(weights: list[float]) -> Network:
    """The network that the page taught."""
    data = load_data().first(LIVE.training_images)
    network = build_network(LIVE.network, data, seed=0, rubbish_class=True).eval()
    nn.utils.vector_to_parameters(torch.tensor(weights), network.parameters())
    return network


def _seconds_to(row: Row, share: float) -> float | None:
    """Seconds from the click to the first look with this share; None if there is none."""
    return next((each["seconds"] for each in row["looks"] if each["share"] >= share), None)


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    rows, lines = result["rows"], []
    for share in SHARES:
        times = [_seconds_to(row, share) for row in rows]
        reached = [each for each in times if each is not None]
        text = f"{Spread.of(reached).text()} s" if reached else "–"
        lines.append((f"click to {share:.0%}, {len(reached)} of {len(rows)} networks", text))
    seconds = result["plan"]["seconds"]
    lines += [
        ("rounds a second", Spread.of(row["rounds"] / seconds for row in rows).text()),
        (
            f"judge, {10 * result['plan']['drawn']:,} images drawn after {seconds:g} s",
            f"{Spread.of(100 * row['agreement'] for row in rows).text()}%",
        ),
        (
            "longest frame on the main thread",
            f"{Spread.of(row['longest_frame_milliseconds'] for row in rows).text()} ms",
        ),
        (
            "longest task on the main thread, processor time alone",
            f"{Spread.of(row['longest_task_milliseconds'] for row in rows).text()} ms",
        ),
        (
            "frames longer than 100 ms",
            Spread.of(row["frames_over_100_milliseconds"] for row in rows).text(),
        ),
    ]
    return "\n\n".join(
        (
            f"## Live rounds\n\nThe page's panel Teach in headless Chromium "
            f"{result['facts']['chromium']}, one thread of WebAssembly, {seconds:g} seconds each.",
            in_words(result["facts"]),
            markdown.table(("", "median (range)"), lines),
        )
    )
