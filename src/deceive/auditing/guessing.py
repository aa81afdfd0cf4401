"""Models that read no better than guessing."""

from collections.abc import Sequence

from torch import Tensor

from deceive.auditing.shares import share_of
from deceive.judging.measures import NEAR_CHANCE, skill

# From this share on, one answer to all images tells nothing about them.
_ONE_ANSWER = 0.95


def reads_nothing(accuracy: float, n_classes: int) -> bool:
    """Whether a model reads no better than guessing, which makes its other figures meaningless.

    >>> reads_nothing(0.11, 10), reads_nothing(0.3, 10)
    (True, False)
    """
    return skill(accuracy, n_classes) < NEAR_CHANCE


def all_rubbish(
    accuracy: float, class_accuracy: float, n_classes: int, rubbish: float
) -> list[str]:
    """The warning that a model reads next to nothing because it takes real images for rubbish.

    Args:
        accuracy: share of the test images that it reads correctly.
        class_accuracy: the same, if its rubbish class is left out.
        n_classes: of the data.
        rubbish: share of the test images whose likeliest answer is the rubbish class.
    """
    if not reads_nothing(accuracy, n_classes) or reads_nothing(class_accuracy, n_classes):
        return []
    return [
        f"It takes {rubbish:.1%} of the test images for rubbish and reads {accuracy:.1%}, which "
        "makes every figure here meaningless. Its classes alone, without rubbish, read "
        f"{class_accuracy:.1%}. So its labels are in order, and it has learned too little about "
        "real images: most likely in too few rounds, or from too few images."
    ]


def at_chance(accuracy: float, answers: Tensor, class_names: Sequence[str]) -> list[str]:
    """The warning that a model reads no better than guessing, if it applies.

    Args:
        accuracy: share of the test images that it reads correctly.
        answers: (N,), the output that it chooses for each test image.
        class_names: of the data's classes, its first outputs.
    """
    n_classes = len(class_names)
    if not reads_nothing(accuracy, n_classes):
        return []
    said = (
        f"It reads {accuracy:.1%} of the test images, no better than guessing "
        f"({1 / n_classes:.1%}), which makes every figure here meaningless."
    )
    most = int(answers.mode().values)
    share = share_of(answers == most)
    if share >= _ONE_ANSWER:
        name = f"“{class_names[most]}”" if most < n_classes else f"output {most}"
        whole = "all" if share == 1 else f"{share:.0%}"
        return [
            f"{said} Its answer to {whole} of them is {name}: it has learnt nothing, or its images "
            "are prepared in another way. Set that with --bounds, --mean and --std, or "
            "--preprocess."
        ]
    return [
        f"{said} The labels or the preprocessing probably don't match. Output k must be the class "
        "of label k (some libraries sort labels by name); name images of its own classes with "
        "--data, set the scaling with --bounds, or --mean and --std, and choose among several "
        "outputs with --output."
    ]
