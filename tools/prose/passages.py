"""What a person reads in a file: prose without code, each passage with its first line's number."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^( *)(```+|~~~+)[^\n]*\n.*?^\1\2[`~]*$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}[^\n]*\n)+")
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_TARGET = re.compile(r"(?<=\])\([^()\s]*\)|<https?://[^>]*>|https?://\S+")
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^<>]*>|\{[{%#].*?[%#}]\}", re.DOTALL)
_EXAMPLE = re.compile(r"^ *(?:>>>|\.\.\.) .*$", re.MULTILINE)
_JAVASCRIPT = re.compile(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`", re.DOTALL)
_A_SENTENCE = 3  # words; shorter strings of code are names


class Passage(NamedTuple):
    """Prose, and the line of its file that it begins on."""

    line: int
    text: str


def passages(path: Path) -> Iterator[Passage]:
    """The prose in a file, by its suffix: Markdown, notebook, Python, HTML or JavaScript."""
    yield from _READERS[path.suffix](path.read_text(encoding="utf-8"))


def _markdown(text: str) -> Iterator[Passage]:
    for pattern in (_FENCE, _INDENTED, _TARGET):
        text = pattern.sub(_blank, text)
    yield Passage(1, _without_code(text))


def _notebook(text: str) -> Iterator[Passage]:
    """Each cell's first line, in the file: cells are written with one line of JSON for each."""
    lines = text.splitlines()
    start = 0
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] != "markdown" or not cell["source"]:
            continue
        first = json.dumps(cell["source"][0], ensure_ascii=False)
        start = next(n for n in range(start, len(lines)) if first in lines[n])
        (passage,) = _markdown("".join(cell["source"]))
        yield Passage(start + 1, passage.text)


def _python(text: str) -> Iterator[Passage]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield Passage(token.start[0], _without_code(token.string))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = _without_code(_EXAMPLE.sub(_blank, node.value))
            if len(said.split()) >= _A_SENTENCE:
                yield Passage(node.lineno, said)


def _html(text: str) -> Iterator[Passage]:
    yield Passage(1, _TAG.sub(_blank, text))


def _javascript(text: str) -> Iterator[Passage]:
    for found in _JAVASCRIPT.finditer(text):
        if len(found[0].split()) >= _A_SENTENCE and "</" not in found[0]:
            yield Passage(1 + text[: found.start()].count("\n"), found[0])


def _without_code(text: str) -> str:
    """A text in which code is a word without meaning."""
    return _CODE.sub(lambda code: "CODE" + "\n" * code[0].count("\n"), text)


def _blank(found: re.Match[str]) -> str:
    """As many lines, with nothing on them."""
    return "\n" * found[0].count("\n")


_READERS: dict[str, Callable[[str], Iterator[Passage]]] = {
    ".md": _markdown,
    ".ipynb": _notebook,
    ".py": _python,
    ".html": _html,
    ".jinja": _html,
    ".js": _javascript,
}
