"""How a model's scores are read: as logits, the data's classes first."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.auditing.models.answers import Answers, columns_of, kind_of_single
from deceive.networks.squashing import are_probabilities, logs_of

# A probability is taken for at most this far from 0 and 1, so that its log-odds are finite.
_LEAST = 1e-7


@dataclass(frozen=True)
class Reading:
    """From a model's scores (N, K) to logits, whose first columns are the data's classes.

    >>> Reading("probabilities", order=(1, 0))(torch.tensor([[1.0, 3.0]]) / 4).softmax(1)
    tensor([[0.7500, 0.2500]])
    >>> Reading(single=True)(torch.tensor([2.0, -1.0]))
    tensor([[ 0.,  2.],
            [ 0., -1.]])
    """

    answers: Answers = "logits"
    """What the scores are."""
    whole: float = 1.0
    """What the probabilities of an image sum to."""
    single: bool = False
    """Whether there is one score per image, for the second of two classes."""
    order: tuple[int, ...] | None = None
    """The model's column for each of ours; None if they are the same."""
    none_of_them: bool = False
    """Whether a last column is added, 0: the logit of "none of the classes" for classes that are
    each told from all else by a sigmoid. The softmax is then a class's sigmoid, or less where
    several classes are likely."""

    def __call__(self, output: Tensor) -> Tensor:
        """Logits (N, K') of scores (N, K), or of a model's output with sides of length 1."""
        scores = columns_of(output)
        if self.single:
            scores = scores.float()  # 1 - p of a small p is 1 in half precision
            rest = 1 - scores if self.answers == "probabilities" else torch.zeros_like(scores)
            scores = torch.cat([rest, scores], 1)
        if self.order is not None:
            scores = scores[:, list(self.order)]
        if self.answers == "probabilities":
            scores = logs_of(scores if self.whole == 1 else scores / self.whole)
        elif self.answers == "sigmoids":
            scores = scores.float().clamp(_LEAST, 1 - _LEAST).logit()
        return F.pad(scores, (0, 1)) if self.none_of_them else scores

    @property
    def is_plain(self) -> bool:
        """Whether it leaves scores as they are."""
        return self.answers not in ("probabilities", "sigmoids") and self == Reading(self.answers)

    @property
    def only_moves(self) -> bool:
        """Whether the scores are logits, and at most in another order."""
        return replace(self, order=None).is_plain

    def count(self, n_outputs: int) -> int:
        """How many logits there are for so many scores."""
        return n_outputs + self.single + self.none_of_them

    def classes(self, scores: Tensor) -> Tensor:
        """The classes (N,) that scores (N, K) choose, whatever kind of scores they are."""
        if self.single:
            self = replace(self, answers=kind_of_single(scores))
            return self(scores).argmax(1)
        return replace(self, answers="logits", none_of_them=False)(scores).argmax(1)

    def losses(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy (N,) of labels (N,), whatever kind of scores (N, K) these are."""
        kind: Answers = "probabilities" if are_probabilities(columns_of(scores)) else "logits"
        kind = kind_of_single(scores) if self.single else kind
        logits = replace(self, answers=kind, none_of_them=False)(scores)
        return F.cross_entropy(logits.float(), labels, reduction="none")
