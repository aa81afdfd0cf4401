"""Train one of the classifiers that the contest `guarding` guards.

    python -m benchmarks.readers "a CNN of Keras" --out DIR

says what to give to `deceive guard`.
"""

import argparse
from pathlib import Path

from benchmarks.contests.guarding.plan import Plan
from benchmarks.contests.guarding.readers import ALL, made
from deceive.data.dataset import Split
from deceive.data.loading import load_data


def main() -> None:
    """Train one into a folder, and say where `deceive guard` finds it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("name", choices=list(ALL))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=Plan().train_images)
    parser.add_argument("--out", type=Path, default=Path("runs/reader"))
    asked = parser.parse_args()
    train = load_data().train
    split = Split(train.images[: asked.images], train.labels[: asked.images])
    asked.out.mkdir(parents=True, exist_ok=True)
    print(made(asked.name, split, asked.seed, asked.out))


if __name__ == "__main__":
    main()
