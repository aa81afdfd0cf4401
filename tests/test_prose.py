"""The prose of the project is plain English, as far as patterns can tell."""

import json

import pytest
from tools import prose
from tools.prose.__main__ import checked, main, report
from tools.prose.rules import BEGINNINGS, WORDS

# For each rule a passage that breaks it, and what is found.
BROKEN = {
    "Whoever reads it": "Whoever",
    "told by nobody": "nobody",
    "You had\nbetter go": "had better",
    "Ten images, two of which fool": "two of which",
    "Ten images, of which two fool": "of which",
    "drawn as they come": "as they come",
    "A machine of late": "of late",
    "not owed to the code": "owed to",
    "much what it was": "much what",
    "Its like is rare": "Its like",
    "in place of 9": "in place of",
    "the share thereof": "thereof",
    "equal but for rounding": "but for",
    "Run it in order to see": "in order to",
    "a gray optimizer": "gray",
    "what the model says of it": "says of it",
    "It works. Never does it fail.": "Never does",
    "It works.\n\nOnly then is it shown.": "Only then is",
    "- So do others.": "So do",
    "Had it failed, nothing would follow.": "Had it",
    "Should this stay, reload.": "Should this",
}
FINE = [
    "a color-coded axis",
    "a prize that nobody-else has",
    "It can do so. Should be fine.",
    "So it does. Only then it stops. Never mind.",
    "A likelihood; thereafter; here in the box; where in doubt",
    "concatenated in order to (N, …)",
    "the transform's Normalize",
    "Hadley; a butter for bread",
]


def found(text):
    return [each.found for each in prose.findings(prose.Passage(1, text))]


@pytest.mark.parametrize("text", BROKEN)
def test_what_no_native_reader_expects_is_found(text):
    assert BROKEN[text] in found(text)


@pytest.mark.parametrize("text", FINE)
def test_plain_english_passes(text):
    assert found(text) == []


def test_a_sentence_that_is_too_long_is_found():
    long = "word " * 60 + "word."
    assert found(f"Short.\n\nIt is {long} Short.") == ["It is word word word …"]
    assert found("word " * 59 + "word.") == []
    assert found("- " + "word " * 40 + "\n- " + "word " * 40) == []  # two items
    assert found("| " + "word " * 70 + "|") == []  # a row of a table


def test_every_rule_says_what_to_write():
    assert all(instead and len(instead) < 40 for instead in (WORDS | BEGINNINGS).values())


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.md", "# A\n\n```\nnobody\n```\n\n    nobody\n\n`nobody` [x](nobody.md)\nnobody\n", 10),
        ("a.py", 'NAME = "nobody"\n\n\ndef f():\n    """Fine.\n\n    Nobody did it.\n    """\n', 7),
        ("b.py", "x = 1  # nobody\n", 1),
        ("c.py", '"""Fine.\n\n>>> nobody = 1\n"""\nx = (\n    f"{f}: nobody did it"\n)\n', 6),
        ("a.html", "<script>\nnobody\n</script>\n<p title='nobody'>\nnobody</p>\n", 5),
        ("a.js", "const nobody = 1;\nconst said = `it was\nnobody`;\n", 3),
    ],
)  # fmt: skip
def test_prose_is_told_from_code_and_its_line_is_named(name, content, line, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    (said,) = report(path)
    assert said == f'{path}:{line}: "{said.split(chr(34))[1]}": write no one'
    assert said.lower().count("nobody") == 1


def test_the_cells_of_a_notebook_are_read(tmp_path):
    cells = [
        {"cell_type": "code", "source": ["# nobody\n"], "outputs": []},
        {"cell_type": "markdown", "source": ["# Fine\n", "\n", "Nobody.\n"]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}, indent=1))
    (said,) = report(path)
    line = path.read_text().splitlines()[int(said.split(":")[1]) - 1]
    assert "Nobody" in line


def test_the_command_names_findings_and_fails(tmp_path, capsys):
    path = tmp_path / "a.md"
    path.write_text("Whoever reads it.\n")
    assert main([str(path)]) == 1
    assert capsys.readouterr().out == f'{path}:1: "Whoever": write anyone who\n'
    path.write_text("Anyone who reads it.\n")
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == ""


def test_what_a_person_reads_in_the_repository_is_plain_english():
    names = {path.name for path in checked()}
    assert {"fool.py", "audit.html.jinja", "index.html", "main.js"} <= names
    assert [line for path in checked() for line in report(path)] == []
