"""Build the page for the browser: export its networks, render the notebooks, run Vite."""

import json
from collections.abc import Callable
from pathlib import Path

from deceive.common.errors import InputError
from deceive.common.files import write_text
from deceive.common.locks import LOCK, locked
from deceive.webpage.built import checksum, is_built, read_own, write_list
from deceive.webpage.lesson import write_lesson
from deceive.webpage.networks import write_networks
from deceive.webpage.node import npm, run
from deceive.webpage.notebooks import notebooks, title, write_notebooks
from deceive.webpage.packing import pack

_PACKAGE = Path(__file__).resolve().parents[1]
CLONE = _PACKAGE.parents[1]


def build(report: Callable[[str], None] = lambda text: None, clone: Path = CLONE) -> Path:
    """Build the page into `web/dist` where it is not up to date, and give that folder.

    Exports the shipped networks with their gradients, lists them in `networks/manifest.json` with
    the figures of their cards, renders the notebooks, and runs Vite. `report` is told each stage.

    Raises:
        InputError: outside a clone, without Node.js, while another command builds the page, or when
            npm or Vite fails.
    """
    web = clone / "web"
    if not (web / "package.json").is_file():
        raise InputError(
            f"page: expected the clone with its folder web, found no {web / 'package.json'}"
        )
    try:
        sources = checksum(_sources(clone))
        if not is_built(web / "dist", sources):
            with locked(web, f"page: expected no other command to build {web} now; wait for it"):
                _build(clone, report)
                write_list(web / "dist", sources)
                pack(web / "dist", clone / "models", web / "packed")  # for a wheel
    except OSError as error:
        raise InputError(
            f"page: expected a readable clone in which {web} is writable; {error}"
        ) from error
    return web / "dist"


def _build(clone: Path, report: Callable[[str], None]) -> None:
    web, program = clone / "web", npm()
    lock = web / "package-lock.json"
    installed = web / "node_modules" / ".deceive.json"
    locked = {"lock": checksum([lock])}
    if read_own(installed) != locked:
        report("installing what the page is built with")
        run([program, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], web)
        write_text(installed, json.dumps(locked))
    titles = {path.stem: title(path) for path in notebooks(clone)}
    write_networks(clone / "models", web / "public" / "networks", titles, report)
    write_lesson(web / "public" / "teach", report)
    write_notebooks(clone, web / "public" / "notebooks", report)
    report("building the page")
    run([program, "run", "--silent", "build"], web)
    if not (web / "dist" / "index.html").is_file():
        raise InputError(f"page: expected npm to build {web / 'dist' / 'index.html'}, got none")


def _sources(clone: Path) -> list[Path]:
    """Every file that the built page depends on."""
    web = clone / "web"
    own = [path for path in web.iterdir() if path.is_file() and path.suffix not in (".md", ".py")]
    own = [path for path in own if path.name != LOCK]
    parts = [path for path in (web / "src").rglob("*") if path.is_file()]
    parts += [path for path in (web / "public").glob("*") if path.is_file()]
    code = _PACKAGE.rglob("*.py")
    cards = (clone / "models").glob("*.json")
    return [*own, *parts, *code, *cards, *notebooks(clone)]
