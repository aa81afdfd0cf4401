"""What people call their splits."""

import re

from deceive.data.readers.reader import PartName

_SPELLINGS: dict[PartName, tuple[str, ...]] = {
    "train": ("train", "training", "trn", "tr"),
    "validation": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing", "tst", "te", "t10k", "holdout"),
}
_PARTS = {spelling: part for part, several in _SPELLINGS.items() for spelling in several}


def words_in(name: str) -> list[str]:
    """The words of a name, in lower case: `X_train` and `trainImages` have two.

    >>> words_in("X_train"), words_in("trainImages"), words_in("xtest"), words_in("train-00000")
    (['x', 'train'], ['train', 'images'], ['x', 'test'], ['train', '00000'])
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(r"\b([xy])(?=(train|test|val))", r"\1 ", spaced.replace("_", " "))
    spaced = re.sub(r"(train|test|val|valid)([xy])\b", r"\1 \2", spaced)
    return [word for word in re.split(r"\W+", spaced) if word]


def part_named(name: str) -> PartName | None:
    """The split that a folder or an array of this name holds; None if it names none.

    >>> part_named("Training"), part_named("x_test"), part_named("cats")
    ('train', 'test', None)
    """
    parts = {_PARTS[word] for word in words_in(name) if word in _PARTS}
    return parts.pop() if len(parts) == 1 else None
