"""JSON Schemas as Markdown: a table of fields for each object."""

import json
from typing import Any

from deceive.common import markdown

# Objects that the reference of the library describes.
_ELSEWHERE = {
    "Ascent": "api/deceiving.md#ascent",
    "GuardSettings": "api/guarding.md#guardsettings",
    "Interface": "api/auditing.md#interface",
    "Preparation": "api/data.md#preparation",
}


def table(title: str, part: dict[str, Any]) -> str:
    """An object's section: what it is, and a row for each field."""
    rows = (
        (f"`{name}`", _type(field), _in_brief(field)) for name, field in part["properties"].items()
    )
    fields = markdown.table(("field", "type", "meaning"), rows)
    return f"\n## {title}\n\n{_in_brief(part)}\n\n{fields}\n"


def _type(field: dict[str, Any]) -> str:
    """A type as a reader of JSON knows it."""
    match field:
        case {"$ref": name}:
            name = name.removeprefix("#/$defs/")
            return f"[{name}]({_ELSEWHERE.get(name, f'#{name.lower()}')})"
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


def _in_brief(described: dict[str, Any]) -> str:
    """The first paragraph of a description, on one line."""
    return " ".join(described["description"].partition("\n\n")[0].split())
