"""The parts of the documentation's site, each by itself."""

import importlib.util

import pytest

if importlib.util.find_spec("sphinx") is None:
    pytest.skip("needs Sphinx: `pip install -e '.[docs]'`", allow_module_level=True)

from tools.address import repository
from tools.command_line import groups
from tools.site import DOCS, TUTORIALS
from tools.site.links import anchors, resolved
from tools.site.navigation import pages

PAGE = DOCS / "how-to" / "audit.md"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[a](../../notebooks/rounds.ipynb)", "[a](../tutorials/rounds.ipynb)"),
        ("[a](../../action.yml)", f"[a]({repository()}/blob/main/action.yml)"),
        ("[a](../../benchmarks)", f"[a]({repository()}/tree/main/benchmarks)"),
        (
            "[a](../../benchmarks/README.md#drawing)",
            f"[a]({repository()}/blob/main/benchmarks/README.md#drawing)",
        ),
        ("[a](guard.md#use-it)", "[a](guard.md#use-it)"),
        ("[a](https://example.org/../../x)", "[a](https://example.org/../../x)"),
        ("![a](../../images/rounds.png)", "![a](../../images/rounds.png)"),
    ],
)
def test_links_out_of_the_docs_lead_to_the_repository(written, expected):
    assert resolved(written, PAGE) == (expected, [])


def test_links_of_a_notebook_are_those_of_its_own_folder():
    written = "[a](rounds.ipynb) [b](../docs/how-to/audit.md) [c](../README.md)"
    text, missing = resolved(written, TUTORIALS / "cnn_training.ipynb")
    assert (
        text == f"[a](rounds.ipynb) [b](../how-to/audit.md) [c]({repository()}/blob/main/README.md)"
    )
    assert missing == []


def test_links_to_what_is_not_there_are_told():
    written = "[a](../../nothing.py) [b](../../benchmarks/README.md#nowhere)"
    assert resolved(written, PAGE) == (
        written,
        ["../../nothing.py", "../../benchmarks/README.md#nowhere"],
    )


def test_anchors_are_githubs(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# How `fast` came to be\n## Polished, and drawn again\n### A *new* one: 2 × 3\n"
    )
    assert anchors(page) == {"how-fast-came-to-be", "polished-and-drawn-again", "a-new-one-2--3"}


def test_the_sidebar_has_the_order_of_the_index():
    text = "[b](b.md) [a](a.md#part) ![p](p.md) [b](b.md) [c](c/index.md) [d](../d.md) [n](n.ipynb)"
    assert pages(text) == ["b", "c/index", "n"]


def test_a_box_of_help_is_read_as_a_person_reads_it():
    said = (
        "usage: it\n"
        "╭─ few options ──────────╮\n"
        "│ What they are.         │\n"
        "│ ────────────────────── │\n"
        "│ --a INT  The first of  │\n"
        "│          both.         │\n"
        "│ --long-name, --no-long-name │\n"
        "│          The second.   │\n"
        "╰────────────────────────╯\n"
    )
    (box,) = groups(said)
    assert (box.title, box.about) == ("few options", "What they are.")
    assert box.flags == [
        ("--a INT", "The first of both."),
        ("--long-name, --no-long-name", "The second."),
    ]
