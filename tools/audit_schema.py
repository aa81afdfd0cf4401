"""Writes `audit.schema.json` of `docs/reference`, and `audit-schema.md`, the same in words.

Both are made from the code: `make reference`.
"""

import json
from pathlib import Path
from typing import Any

from tools import schemas

from deceive.auditing import json_schema
from deceive.auditing.record.schema import VERSION

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference"

_ABOUT = (
    "# `audit.json`\n\n"
    f"What `deceive audit` writes, schema version {VERSION}. Shares and confidences are in [0, 1]; "
    "`null` stands for what was not measured or cannot be. `deceive.auditing.read_report` reads "
    "and checks a file. [`audit.schema.json`](audit.schema.json) is the same as a JSON Schema, "
    "which `deceive.auditing.json_schema` gives too. Both are made from the code: "
    "`make reference`.\n"
)


def files() -> dict[Path, str]:
    """The files and their contents."""
    schema = json_schema()
    written = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return {DOCS / "audit-schema.md": page(schema), DOCS / "audit.schema.json": written}


def page(schema: dict[str, Any]) -> str:
    """A JSON Schema as Markdown: a table for each object, in the order of their first mention."""
    parts = {"The file": schema} | {name: schema["$defs"][name] for name in _mentioned(schema)}
    return _ABOUT + "".join(schemas.table(title, part) for title, part in parts.items())


def _mentioned(schema: dict[str, Any]) -> list[str]:
    """The names of the objects within, in the order of their first mention."""
    names: list[str] = []
    for part in [schema, *(schema["$defs"][name] for name in _named(schema))]:
        names += [name for name in _named(part) if name not in names]
    return names


def _named(part: dict[str, Any]) -> list[str]:
    """The objects that the fields of an object name."""
    found = json.dumps(part["properties"]).split('"#/$defs/')[1:]
    return list(dict.fromkeys(each.partition('"')[0] for each in found))


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
