"""Build the page for the browser: export its networks, run Vite."""

import hashlib
import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from deceive.common.errors import InputError
from deceive.common.files import read_json, write_text
from deceive.fooling import fool as fooling
from deceive.fooling.rules import GROWING, PATIENCE, Ascent
from deceive.storage.export import export_onnx
from deceive.storage.models import load_card, load_network, shipped_folder, shipped_names
from deceive.webpage.serving import LIST

_PACKAGE = Path(__file__).resolve().parents[1]
_CLONE = _PACKAGE.parents[1]
# The code that decides what an exported network looks like.
_EXPORTERS = ("storage/export.py", "networks/classifier.py")
_NODE = (20, 19)  # what Vite asks for
_FORMULA = re.compile(r"(\$\$?)([^$]+)\1")
_LINK = re.compile(r'href="([\w-]+)\.ipynb')  # from one notebook to another


def build(report: Callable[[str], None] = lambda text: None) -> Path:
    """Build the page into `web/dist` where it is not up to date, and give that folder.

    Exports the shipped networks with their gradients, lists them in `networks/manifest.json` with
    the figures of their cards, renders the notebooks, and runs Vite. `report` is told each stage.

    Raises:
        InputError: outside a clone, without Node.js, or when npm or Vite fails.
    """
    web = _CLONE / "web"
    if not (web / "package.json").is_file():
        raise InputError(
            f"page: expected the clone with its folder web, found no {web / 'package.json'}"
        )
    try:
        sources = _checksum(_sources(web))
        if not _is_built(web / "dist", sources):
            _build(web, report)
            write_list(web / "dist", sources)
    except OSError as error:
        raise InputError(
            f"page: expected a readable clone in which {web} is writable; {error}"
        ) from error
    return web / "dist"


def write_list(folder: Path, sources: str) -> None:
    """Write the list of a page's files for `serving.server`, with the checksum of its sources."""
    files = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / LIST
    ]
    write_text(folder / LIST, json.dumps({"sources": sources, "files": files}, indent=1) + "\n")


def _is_built(dist: Path, sources: str) -> bool:
    """Whether the page is complete and built from these sources."""
    listed = _read_own(dist / LIST)
    files = listed.get("files")
    return (
        listed.get("sources") == sources
        and isinstance(files, list)
        and all((dist / str(name)).is_file() for name in files)
    )


def _read_own(path: Path) -> dict[str, Any]:
    """A file from an earlier build; empty if it is missing or damaged."""
    try:
        return read_json(path)
    except InputError:
        return {}


def _build(web: Path, report: Callable[[str], None]) -> None:
    npm = _npm()
    lock = web / "package-lock.json"
    installed = web / "node_modules" / ".deceive.json"
    locked = {"lock": _checksum([lock])}
    if _read_own(installed) != locked:
        report("installing what the page is built with")
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], web)
        write_text(installed, json.dumps(locked))
    _write_networks(web / "public" / "networks", report)
    _write_notebooks(web / "public" / "notebooks", report)
    report("building the page")
    _run([npm, "run", "--silent", "build"], web)
    if not (web / "dist" / "index.html").is_file():
        raise InputError(f"page: expected npm to build {web / 'dist' / 'index.html'}, got none")


def _in_camel_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        to_camel(key): _in_camel_case(value) if isinstance(value, dict) else value
        for key, value in settings.items()
    }


def manifest() -> dict[str, Any]:
    """What the page is told of the networks and of `fool`; all of it from cards and defaults.

    Each network comes with its ascent, which is the card's, or else `fool`'s own. `rounds` names
    the networks of panel 3 in order: those with which digits emerge, one a round, where such are
    shipped; else all there are, the least accurate first, with no round.
    """
    cards = {name: load_card(name) for name in shipped_names()}
    networks = {}
    for name, card in cards.items():
        networks[name] = {
            "name": name,
            "file": f"{name}.onnx",
            "architecture": card.architecture,
            "outputs": card.n_outputs,
            "rubbishClass": card.rubbish_class,
            "imageShape": list(card.image_shape),
            "testAccuracy": card.test_accuracy,
            "validationAccuracy": card.validation_accuracy,
            "round": card.round,
            "ascent": _in_camel_case((card.ascent or Ascent()).model_dump()),
            "command": card.command,
            "weights": card.weights_sha256,
        }
    emerging = {name: card for name, card in cards.items() if card.ascent is not None}
    rounds = {card.round: name for name, card in emerging.items() if card.round is not None}
    judge = "judge" if "judge" in cards else None
    by_accuracy = sorted(cards, key=lambda name: cards[name].test_accuracy)
    plain = [name for name in by_accuracy if cards[name].round is None and name != judge]
    rule = {name: one.default for name, one in inspect.signature(fooling.fool).parameters.items()}
    return {
        "networks": networks,
        "default": plain[-1],
        "judge": judge,
        "rounds": [{"network": rounds[number], "round": number} for number in sorted(rounds)]
        if len(rounds) > 1
        else [{"network": name, "round": None} for name in by_accuracy],
        "rule": {
            "confidence": rule["confidence"],
            "steps": rule["steps"],
            "patience": PATIENCE,
            "growing": GROWING,
            "slack": fooling.SLACK,
        },
    }


def _write_networks(folder: Path, report: Callable[[str], None]) -> None:
    """Export what is new, with its gradient, and write the manifest; drop what is gone."""
    described = manifest()
    exporter = _checksum(_PACKAGE / name for name in _EXPORTERS)
    old = folder / "manifest.json"
    known = _read_own(old).get("networks")
    for name, entry in described["networks"].items():
        path = folder / entry["file"]
        entry["exporter"] = exporter
        before = known.get(name) if isinstance(known, dict) else None
        fresh = isinstance(before, dict) and all(
            before.get(key) == entry[key] for key in ("weights", "exporter")
        )
        if not (fresh and path.is_file()):
            report(f"exporting {name}")
            export_onnx(load_network(name), path)
        entry["bytes"] = path.stat().st_size
    files = {entry["file"] for entry in described["networks"].values()}
    for path in folder.glob("*.onnx"):
        if path.name not in files:
            path.unlink()
    described["notebooks"] = {path.stem: _title(path) for path in _notebooks()}
    write_text(old, json.dumps(described, indent=1) + "\n")


def _notebooks() -> list[Path]:
    return sorted((_CLONE / "notebooks").glob("*.ipynb"))


def _title(notebook: Path) -> str:
    """A notebook's first heading."""
    try:
        cells = read_json(notebook, "a notebook with a heading")["cells"]
        lines = "".join("".join(cell["source"]) + "\n" for cell in cells).splitlines()
        return next(line.lstrip("# ") for line in lines if line.startswith("# "))
    except (KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{notebook}: expected a notebook with a heading; {error!r}") from error


def _write_notebooks(folder: Path, report: Callable[[str], None]) -> None:
    """Each notebook as one HTML file that fetches nothing, its formulas as MathML."""
    try:
        import latex2mathml  # noqa: F401  for the formulas
        import nbformat
        from jinja2 import Template
        from nbconvert import HTMLExporter
        from pygments.formatters import HtmlFormatter
    except ImportError as error:
        raise InputError(
            "page: expected the packages nbconvert and latex2mathml, as "
            f"`pip install 'deceive[page]'` brings them; {error}"
        ) from error

    report("rendering the notebooks")
    exporter = HTMLExporter(template_name="basic")  # type: ignore[no-untyped-call]
    frame = Template((_CLONE / "web" / "notebook.html.jinja").read_text(encoding="utf-8"))
    styles = {
        name: HtmlFormatter(style=style).get_style_defs(".highlight")
        for name, style in (("light", "default"), ("dark", "monokai"))
    }
    for path in _notebooks():
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _FORMULA.sub(_as_mathml, cell.source)
        body, _ = exporter.from_notebook_node(notebook)
        body = _LINK.sub(r'href="\1.html', body)
        page = frame.render(title=_title(path), body=body, file=path.name, styles=styles)
        write_text(folder / f"{path.stem}.html", page)


def _as_mathml(formula: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    text: str = convert(formula[2].strip(), display="block" if formula[1] == "$$" else "inline")
    return text


def _sources(web: Path) -> list[Path]:
    """Every file that the built page depends on."""
    own = [path for path in web.iterdir() if path.is_file() and path.suffix not in (".md", ".py")]
    parts = [path for path in (web / "src").rglob("*") if path.is_file()]
    parts += [path for path in (web / "public").glob("*") if path.is_file()]
    code = _PACKAGE.rglob("*.py")
    cards = shipped_folder().glob("*.json")
    return [*own, *parts, *code, *cards, *_notebooks()]


def _checksum(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _npm() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    wanted = ".".join(map(str, _NODE))
    if node is None or npm is None:
        missing = "node" if node is None else "npm"
        raise InputError(
            f"page: expected Node.js {wanted} or newer, which builds it, found no {missing}"
        )
    said = _run([node, "--version"])
    version = tuple(map(int, re.findall(r"\d+", said)[:2]))
    if version < _NODE:
        raise InputError(
            f"page: expected Node.js {wanted} or newer, got {said.strip() or 'nothing'}"
        )
    return npm


def _run(command: list[str], folder: Path | None = None) -> str:
    """A program's stdout. Raises `InputError` with its messages if it fails."""
    called = " ".join([Path(command[0]).name, *command[1:]])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"page: expected `{called}` to run; {error}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise InputError(f"page: expected `{called}` to succeed; it printed: {said}")
    return done.stdout
