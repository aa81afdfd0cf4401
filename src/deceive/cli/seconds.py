"""How a flag for a budget is read: a number of seconds, or `none` for no limit."""

from tyro.constructors import PrimitiveConstructorSpec


def _read(words: list[str]) -> float | str:
    (word,) = words
    if word == "none":
        return "none"
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"expected a number of seconds or none, got {word!r}") from None


SECONDS: PrimitiveConstructorSpec[float | str | None] = PrimitiveConstructorSpec(
    nargs=1,
    metavar="SECONDS|none",
    instance_from_str=_read,
    is_instance=lambda value: value is None or value == "none" or isinstance(value, float | int),
    str_from_instance=lambda value: [str(value)],
)
"""In a field's `Annotated` type: how its flag is read."""
