"""A guarded classifier in use: python guarded.py picture.png"""

import sys
from pathlib import Path

import deceive


def guarded() -> deceive.GuardedModel:
    """The guarded classifier, as a torch module: images in [0, 1] in, logits out."""
    return deceive.load_guarded(Path(__file__).parent)


def main() -> None:
    """Say what the pictures show."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: python {sys.argv[0]} picture.png ...")
    model = guarded()
    for path in sys.argv[1:]:
        (said,) = model.answer(model.read(path)[None]).in_words(model.class_names)
        print(f"{path}: {said}")


if __name__ == "__main__":
    try:
        main()
    except deceive.InputError as error:
        sys.exit(f"{error}")
