"""The tests themselves: each file stands alone, and what several need is in `worlds`."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def imported(path: Path) -> set[str]:
    """The modules that a file imports, at its top or further down."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", sorted(HERE.rglob("*.py")), ids=lambda path: path.name)
def test_no_file_imports_from_a_file_of_tests(path):
    assert not {name for name in imported(path) if name.split(".")[-1].startswith("test_")}
