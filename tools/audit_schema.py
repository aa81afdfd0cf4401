"""Writes `audit.schema.json` of `docs/reference`, and `audit-schema.md`, the same in words.

Both are made from the code: `make reference`.
"""

import json
from pathlib import Path
from typing import Any

from deceive.auditing import json_schema
from deceive.auditing.record.schema import VERSION
from deceive.common import markdown

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
    return _ABOUT + "".join(_table(title, part) for title, part in parts.items())


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


def _table(title: str, part: dict[str, Any]) -> str:
    rows = (
        (f"`{name}`", _type(field), field["description"])
        for name, field in part["properties"].items()
    )
    fields = markdown.table(("field", "type", "meaning"), rows)
    return f"\n## {title}\n\n{part['description']}\n\n{fields}\n"


def _type(field: dict[str, Any]) -> str:
    """A type as a reader of JSON knows it."""
    match field:
        case {"$ref": name}:
            name = name.removeprefix("#/$defs/")
            return f"[{name}](#{name.lower()})"
        case {"anyOf": options}:
            return " or ".join(map(_type, options))
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"enum": values}:
            return " or ".join(f"`{json.dumps(value)}`" for value in values)
        case {"prefixItems": items}:
            return f"[{', '.join(map(_type, items))}]"
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": values}:
            return f"object of {_type(values)}"
    return {"boolean": "true or false"}.get(field["type"], field["type"])


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
