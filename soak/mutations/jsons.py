"""Damage to JSON: other values, keys lost, renamed, added or doubled."""

import json
from typing import Any

from soak.mutations.raw import BYTES
from soak.mutations.values import DEPTHS, FLOATS, INTEGERS, STRINGS, Mutation, Random


class _Raw:
    """Literal JSON text: 1e400, or a thousand brackets."""

    def __init__(self, text: str) -> None:
        self.text = text


def json_value(rng: Random, instead_of: object = None) -> object:
    """A value that a schema may not expect, mostly of another type than before."""
    kind = rng.randrange(10)
    if kind < 3 or (isinstance(instead_of, int | float) and kind < 6):
        return rng.choice((rng.choice(INTEGERS), _Raw(rng.choice(FLOATS))))
    if kind < 7:
        return rng.choice(STRINGS)
    if kind == 7:
        depth, (opened, closed) = rng.choice(DEPTHS), rng.choice((("[", "]"), ('{"a":', "}")))
        return _Raw(opened * depth + "1" * (opened != "[") + closed * depth)
    odd: tuple[object, ...] = (None, True, False, [], {}, [0], [[]], {"a": 0}, [None] * 1000)
    return rng.choice(odd)


def change_json(content: bytes, rng: Random) -> bytes:
    """Change one place in a JSON value: another value, or a key lost, renamed, added or doubled."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return rng.choice(BYTES)(content, rng)
    return _written(_changed(value, rng)).encode("utf-8", "surrogatepass")


def change_json_lines(content: bytes, rng: Random) -> bytes:
    """The same for one line of a file of JSON lines; or a line lost, doubled, moved, emptied."""
    lines = content.splitlines()
    if not lines:
        return rng.choice(BYTES)(content, rng)
    at, kind = rng.randrange(len(lines)), rng.randrange(8)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif kind == 2:
        rng.shuffle(lines)
    elif kind == 3:
        lines[at] = rng.choice((b"", b"null", b"[]", b"{}", b"3", b'"a"'))
    else:
        lines[at] = change_json(lines[at], rng)
    return b"\n".join(lines) + rng.choice((b"\n", b"\n", b"\n", b"", b"\n\n"))


JSON: tuple[Mutation, ...] = (change_json, change_json, change_json, *BYTES)

JSON_LINES: tuple[Mutation, ...] = (change_json_lines, change_json_lines, change_json_lines, *BYTES)


def _changed(value: Any, rng: Random) -> Any:
    """A copy with one place changed, at any depth."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(list(keys))
        copied: Any = value.copy()
        if rng.random() < 0.15:
            del copied[key]
        elif isinstance(copied, dict) and rng.random() < 0.2:
            _rekey(copied, key, rng)
        else:
            copied[key] = _changed(value[key], rng)
        return copied
    return json_value(rng, value)


def _rekey(value: dict[Any, Any], key: Any, rng: Random) -> None:
    """Rename a key, add one, or duplicate one (as `_Twice`, resolved by the writer)."""
    kind = rng.randrange(3)
    if kind == 0:
        value[rng.choice(STRINGS)] = value.pop(key)
    elif kind == 1:
        value[rng.choice(STRINGS)] = json_value(rng)
    else:
        value[_Twice(key)] = json_value(rng)


class _Twice(str):
    """A key equal to no other, so that a dictionary can hold a duplicate."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _written(value: object) -> str:
    """JSON text with raw values and duplicate keys."""
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(str.__str__(text))
