"""The page in headless Chromium: how long a deception takes, and what the first visit fetches."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.browser import browser
from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import Spread
from deceive.common import markdown

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response


@dataclass(frozen=True)
class Plan:
    """How large it is."""

    repeats: int = 5
    """How often the page deceives for each of the ten digits."""


QUICK = Plan(repeats=1)

# From the click until the page says that it is done, in milliseconds; the clock is the page's own.
_ONE = """async ({ target, speed }) => {
    const at = (id) => document.getElementById(id);
    const change = (element) => element.dispatchEvent(new Event("change", { bubbles: true }));
    at("deceive-speed").value = speed;
    const digit = document.querySelector(`#deceive-targets input[value="${target}"]`);
    digit.checked = true;
    change(digit);
    const start = performance.now();
    at("deceive-go").click();
    while (!at("deceive-said").textContent.includes("sure"))
        await new Promise((resolve) => setTimeout(resolve, 1));
    const milliseconds = performance.now() - start;
    const steps = Number(at("deceive-steps").textContent);
    while (at("deceive-again").disabled) await new Promise((resolve) => setTimeout(resolve, 1));
    return { target, milliseconds, steps };
}"""

_TEN = """async () => {
    const at = (id) => document.getElementById(id);
    const start = performance.now();
    document.querySelector("#rounds-targets input[value=all]").click();
    at("rounds-go").click();
    while (at("rounds-go").disabled) await new Promise((resolve) => setTimeout(resolve, 1));
    return performance.now() - start;
}"""

# Ten images against one network, without the page around it.
_TEN_ONE_NETWORK = """async (seed) => {
    const { networks, starts, generator } = window.deceive;
    const targets = networks.digits(networks.manifest.default);
    const images = targets.map((target) => starts.uniform(generator(1e6 + 100 * seed + target)));
    const start = performance.now();
    const deception = await networks.deceive(networks.manifest.default, targets, images);
    let state;
    do state = await deception.step(); while (!state.finished);
    const fooled = state.images.filter((image) => image.fooled).length;
    return { milliseconds: performance.now() - start, fooled };
}"""

# Steps of one image that may not stop, each one a question from the page and an answer to it.
_STEPS = """async (count) => {
    const { networks, starts, generator } = window.deceive;
    const rule = { confidence: 1 - 1e-15, steps: count + 1 };
    const start = [starts.uniform(generator(7))];
    const deception = await networks.deceive(networks.manifest.default, [5], start, rule);
    const began = performance.now();
    let steps = 0;
    for (; steps < count; steps++) if ((await deception.step()).finished) break;
    return (1000 * steps) / (performance.now() - began);
}"""


def run(plan: Plan) -> Iterator[Row]:
    """Measure everything in one browser, the page loaded once."""
    started = facts()
    with browser() as (chromium, url):
        page = chromium.new_page()
        first_load = _first_load(page, url)
        one = []
        for _ in range(plan.repeats):
            page.reload()  # for other static
            page.wait_for_selector("html[data-ready]")
            _one(page, 0, "Infinity")  # the first one sets things up
            one += [
                {"speed": speed} | _one(page, target, speed)
                for speed in ("30", "Infinity")
                for target in range(10)
            ]
        ten = [page.evaluate(_TEN_ONE_NETWORK, seed) for seed in range(plan.repeats)]
        all_networks = [page.evaluate(_TEN) for _ in range(plan.repeats)]
        steps = [page.evaluate(_STEPS, 200) for _ in range(plan.repeats)]
        first = [
            _first_interaction(chromium, url, *line) for line in _LINES for _ in range(plan.repeats)
        ]
        version = chromium.version
    yield {
        "facts": started | {"chromium": version},
        "repeats": plan.repeats,
        "first_load": first_load,
        "first_interaction": first,
        "one": one,
        "ten": ten,
        "all_networks_ten_milliseconds": all_networks,
        "steps_a_second": steps,
    }


# How fast the network is, in Mbit/s, and how long an answer takes at least, in ms.
_LINES = ((10.0, 40), (1.6, 150))

# Notes when the page can read a drawing.
_WHEN = """new MutationObserver(() => {
    if ("interactive" in document.documentElement.dataset) window.interactive ??= performance.now();
}).observe(document, { attributes: true, subtree: true, childList: true });"""


def _first_interaction(chromium: "Browser", url: str, speed: float, latency: int) -> Row:
    """Open the page over a slow line, which Chromium imitates, in workers too.

    Gives the milliseconds until a drawing is read, and the bytes that came until then.
    """
    context = chromium.new_context()
    page = context.new_page()
    page.add_init_script(_WHEN)
    line = context.new_cdp_session(page)
    line.send("Network.enable")
    rate = speed * 1e6 / 8
    throughput = {"downloadThroughput": rate, "uploadThroughput": rate}
    line.send(
        "Network.emulateNetworkConditions", {"offline": False, "latency": latency, **throughput}
    )
    sizes: dict[str, int] = {}
    done: list[str] = []
    page.on("response", lambda answer: sizes.update(_size(answer)))
    page.on("requestfinished", lambda asked: done.append(asked.url))
    page.goto(url)
    page.wait_for_selector("html[data-interactive]", timeout=120_000)
    came = sum(sizes[each] for each in done)
    milliseconds = page.evaluate("window.interactive")
    context.close()
    return {"mbit": speed, "latency": latency, "milliseconds": milliseconds, "bytes": came}


def _size(answer: "Response") -> dict[str, int]:
    return {answer.url: int(answer.headers["content-length"])}


def _first_load(page: "Page", origin: str) -> dict[str, int]:
    """Open the page; the size in bytes of every file that it fetches."""
    fetched: dict[str, int] = {}

    def note(answer: "Response") -> None:
        fetched.update(_size(answer))

    page.on("response", note)
    page.goto(origin)
    page.wait_for_selector("html[data-ready]")
    page.wait_for_load_state("networkidle")
    page.remove_listener("response", note)
    return {url.removeprefix(origin): size for url, size in sorted(fetched.items())}


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""

    def milliseconds(values: Iterable[float]) -> str:
        return f"{Spread.of(values).text()} ms"

    by_speed = defaultdict(list)
    for row in result["one"]:
        by_speed[row["speed"]].append(row["milliseconds"])
    ten = [row["milliseconds"] for row in result["ten"]]
    lines = [
        ("click to 0.99, one image, at 30 steps a second as set", milliseconds(by_speed["30"])),
        ("click to 0.99, one image, at full speed", milliseconds(by_speed["Infinity"])),
        ("ten digits at once, one network", milliseconds(ten)),
        (
            "ten digits at once, each network of panel 3",
            milliseconds(result["all_networks_ten_milliseconds"]),
        ),
        ("steps a second, one image", Spread.of(result["steps_a_second"]).text()),
        *(
            (
                f"from opening until a drawing can be read, at {speed:g} Mbit/s",
                milliseconds(
                    row["milliseconds"]
                    for row in result.get("first_interaction", [])
                    if row["mbit"] == speed
                ),
            )
            for speed, _ in _LINES
            if "first_interaction" in result
        ),
        ("first load", f"{sum(result['first_load'].values()) / 1e6:.1f} MB"),
    ]
    fooled = sum(row["fooled"] for row in result["ten"])
    return "\n\n".join(
        (
            f"## Page\n\nHeadless Chromium {result['facts']['chromium']}, one thread of "
            f"WebAssembly; each digit {result['repeats']} times, from fresh static. "
            f"{fooled} of {10 * len(ten)} of those at once got there.",
            in_words(result["facts"]),
            markdown.table(("", "median (range)"), lines),
        )
    )


def _one(page: "Page", target: int, speed: str) -> dict[str, Any]:
    row: dict[str, Any] = page.evaluate(_ONE, {"target": target, "speed": speed})
    return row
