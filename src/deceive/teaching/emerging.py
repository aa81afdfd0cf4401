"""Rounds in which digits emerge: candidates on the way from noise, through less and less of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.common.levels import from_levels
from deceive.fooling.drawing import draw
from deceive.fooling.fool import FoolingResult
from deceive.fooling.rules import Ascent
from deceive.judging.likeness import density_and_coverage, features_of, frechet_between
from deceive.judging.measures import agreement
from deceive.networks.guarded import Network
from deceive.storage.runs import Row
from deceive.teaching.continual import PATIENCE, Continual, Lesson
from deceive.teaching.game import FRESH, DivergedError
from deceive.teaching.settings import EmergingSettings
from deceive.training.augmenting import augment
from deceive.training.rubbish import CandidateSet
from deceive.training.settings import TrainingSettings

# The network has nothing more to learn from candidates that it catches so often.
_CAUGHT_TOO_OFTEN = 0.98


class Emerging(Continual):
    """Digits and rubbish in noise, and the network is told how much of it there is.

    Candidates are shown in the noise of their place in the schedule and digits in the same; so what
    the network learns at each level is to tell digits in that noise from what the ascent has made
    of noise so far. Other digits are shown as they are, so that it reads those well too.
    """

    settings: EmergingSettings
    confidence = None

    @property
    def end(self) -> int:
        """The steps of the schedule."""
        assert self.settings.ascent.schedule is not None
        return self.settings.ascent.schedule.steps

    def _first_candidates(self, count: int) -> CandidateSet:
        return CandidateSet.of_noise(
            count,
            self.data.image_shape,
            self.data.n_classes,
            spread=self.end,
            generator=self.generator,
        )

    def _choose(self) -> Tensor:
        return self.candidates.choose(
            self.chosen, self.data.n_classes, end=self.end, generator=self.generator
        )

    def _ascent(self) -> Ascent:
        return self.settings.ascent

    def _lesson(self, rubbish: Tensor) -> Lesson:
        n, clean, digits = len(rubbish), self.settings.clean_digits, self.data.train
        real = torch.randint(len(digits), (n + clean,), generator=self.generator)
        images, labels = digits.images[real], digits.labels[real]
        sigma = self.settings.ascent.noise_after(self.candidates.begun[rubbish])
        return Lesson(
            torch.cat(
                [
                    images[:n],
                    from_levels(self.candidates.levels[rubbish]),
                    augment(images[n:], TrainingSettings(), self.generator),
                ]
            ),
            torch.cat([labels[:n], torch.full((n,), self.data.n_classes), labels[n:]]),
            torch.cat([sigma, sigma, torch.zeros(clean)]),
        )

    def _loss(self, logits: Tensor, labels: Tensor, rubbish: Tensor) -> Tensor:
        n, k = len(rubbish), self.data.n_classes
        weight = torch.ones(k + 1, device=logits.device)
        weight[k] = self.settings.rubbish_weight
        loss = F.cross_entropy(logits[: 2 * n], labels[: 2 * n], weight)
        if len(labels) > 2 * n:
            clean = F.cross_entropy(logits[2 * n :, :k], labels[2 * n :], reduction="sum")
            loss = loss + clean / (2 * n)
        return loss

    def _look_after_itself(self, loss: float) -> None:
        super()._look_after_itself(loss)
        is_caught = self.vitals[0].item()
        if self.number >= PATIENCE and is_caught > _CAUGHT_TOO_OFTEN:
            raise DivergedError(f"{is_caught:.1%} of what is made to deceive the network is caught")

    def made(self, network: Network) -> FoolingResult:
        s = self.settings
        return draw(
            network,
            range(self.data.n_classes),
            count=s.measured,
            seed=FRESH + s.seed,
            polish=None,  # as they come
            accepted=None,
            ascent=s.ascent,
        )

    def measure(self, network: Network, made: FoolingResult, judge: Network) -> Row:
        real = features_of(judge, self.data.validation.images)
        features = features_of(judge, made.images)
        density, coverage = density_and_coverage(real, features)
        is_caught, is_read = self.vitals.tolist()
        return {
            "images": len(made),
            "judge_agreement": agreement(judge, made.images, made.targets),
            "frechet_distance": frechet_between(features, real),
            "density": density,
            "coverage": coverage,
            "confidence": made.confidence.mean().item(),
            "rubbish_caught": is_caught,
            "digits_read_in_noise": is_read,
        }
