"""The notebooks as pages of their own."""

import re
from collections.abc import Callable
from pathlib import Path

from deceive.common.errors import InputError
from deceive.common.files import read_json, write_text

_FORMULA = re.compile(r"(\$\$?)([^$]+)\1")
_LINK = re.compile(r'href="([\w-]+)\.ipynb')  # from one notebook to another


def notebooks(clone: Path) -> list[Path]:
    """The clone's notebooks, by name."""
    return sorted((clone / "notebooks").glob("*.ipynb"))


def title(notebook: Path) -> str:
    """A notebook's first heading."""
    try:
        cells = read_json(notebook, "a notebook with a heading")["cells"]
        lines = "".join("".join(cell["source"]) + "\n" for cell in cells).splitlines()
        return next(line.lstrip("# ") for line in lines if line.startswith("# "))
    except (KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{notebook}: expected a notebook with a heading; {error!r}") from error


def write_notebooks(clone: Path, folder: Path, report: Callable[[str], None]) -> None:
    """Each notebook as one HTML file that fetches nothing, its formulas as MathML."""
    try:
        import latex2mathml  # noqa: F401  for the formulas
        import nbformat
        from jinja2 import Template
        from nbconvert import HTMLExporter
        from pygments.formatters import HtmlFormatter
    except ImportError as error:
        raise InputError(
            "page: expected the packages nbconvert and latex2mathml "
            f"(pip install 'deceive[page]'), got {error}"
        ) from error

    report("rendering the notebooks")
    exporter = HTMLExporter(template_name="basic")  # type: ignore[no-untyped-call]
    frame = Template((clone / "web" / "notebook.html.jinja").read_text(encoding="utf-8"))
    styles = {
        name: HtmlFormatter(style=style).get_style_defs(".highlight")
        for name, style in (("light", "default"), ("dark", "monokai"))
    }
    for path in notebooks(clone):
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _FORMULA.sub(_as_mathml, cell.source)
        body, _ = exporter.from_notebook_node(notebook)
        body = _LINK.sub(r'href="\1.html', body)
        page = frame.render(title=title(path), body=body, file=path.name, styles=styles)
        write_text(folder / f"{path.stem}.html", page)


def _as_mathml(formula: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    text: str = convert(formula[2].strip(), display="block" if formula[1] == "$$" else "inline")
    return text
