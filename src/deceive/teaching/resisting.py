"""Rounds in which a classifier comes to resist: candidates from everywhere, by every rule."""

import math
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common.levels import from_levels, to_levels
from deceive.data.loading import Dataset
from deceive.fooling.fool import FoolingResult, fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.rules import RULES, Ascent
from deceive.fooling.starts import REAL, begin
from deceive.networks.building import GUARDED
from deceive.networks.guarded import Guarded, Network, guard_of
from deceive.networks.inference import confidence_of, logits_of
from deceive.storage.models import halved
from deceive.storage.runs import Row
from deceive.teaching.continual import Continual, Lesson
from deceive.teaching.game import FRESH
from deceive.teaching.searching import search
from deceive.teaching.settings import ResistingSettings
from deceive.training.augmenting import augment
from deceive.training.calibrating import expect_rubbish
from deceive.training.recipes import build, train
from deceive.training.rubbish import CandidateSet
from deceive.training.settings import TrainingSettings

# Half of the images of a lesson are in gaussian noise of up to this standard deviation, little of
# it more often than much, so that the network can't go by the finest of details.
_NOISE = 0.5

# Steps are up to so many times the size that the settings name, and in every other round the
# gradient is asked for in noise of up to this standard deviation.
_LARGER, _SMOOTHING = 30, 0.3

# By which recipes its readers are trained, and to which power each one's opinion is taken. They are
# hard to deceive by digits that have hardly been touched. In the rounds it has another in their
# place, which is easily deceived, and lets through what the guard has to learn of.
_READERS, _EASY = {"sharp": 0.4, "robust": 0.6}, "reader"

# How often they are taken to be wrong: in the rounds so often that the guard learns to tell digits
# too, and seldom afterwards.
_DOUBT_IN_ROUNDS, _DOUBT = 0.02, 0.0005

# Where patchworks begin, which are led by a search.
_PATCHWORK_STARTS = ("uniform", "squares")

# How sure the network is to be of digits, and of what it counts as deceived.
_SURE = 0.99

# Steps that candidates take when the network is measured.
_MEASURED_STEPS = 300


class Resisting(Continual):
    """Images as they are, some in noise of which the network is not told.

    A candidate that began as noise is taught to be rubbish. One that began as a digit is taught not
    to be its target, and no more: at first it is still that digit. Patchworks are candidates too,
    and rubbish; what leads them is a search, which gets stuck where the gradient never comes.
    """

    settings: ResistingSettings

    def __init__(self, data: Dataset, settings: ResistingSettings) -> None:
        super().__init__(data, settings)
        self.confidence = settings.confidence
        self.readers, self.easy = nn.ModuleList(), nn.ModuleList()
        if isinstance(self.averaged, Guarded):
            self.readers = self.averaged.readers
            self.easy.append(build(_EASY, self.data, seed=settings.seed).eval())
            self.easy.requires_grad_(False)
            self.network, self.averaged = (
                self._in_rounds(self.network),
                self._in_rounds(self.averaged),
            )

    def _in_rounds(self, network: Network) -> Network:
        """The same guard with the easy reader, asked about an image once: a third of the time."""
        guard = guard_of(network)
        return Guarded(guard, self.easy, doubt=_DOUBT_IN_ROUNDS).to(self.here.device).eval()

    def begin(self) -> None:
        """Train the readers, if the network has some."""
        if not self.readers:
            return
        started = time.perf_counter()
        powers = {_EASY: 1.0} | _READERS
        for (recipe, power), reader in zip(
            powers.items(), [*self.easy, *self.readers], strict=True
        ):
            trained, _ = train(recipe, self.data, seed=self.settings.seed)
            trained.temper(power)
            reader.load_state_dict(trained.state_dict())
        self.seconds += time.perf_counter() - started

    def best(self) -> Network:
        network = self.averaged
        if isinstance(network, Guarded):
            name = self.settings.network
            network = Guarded(
                network.guard,
                self.readers,
                doubt=_DOUBT,
                shifts=GUARDED[name].shifts,
                architecture=name,
            ).to(self.here.device)
        network = halved(network)
        if self.settings.digits_sure is not None:
            held_out = self.data.validation
            expect_rubbish(
                network,
                held_out.images,
                held_out.labels,
                share=self.settings.digits_sure,
                confidence=_SURE,
            )
        return halved(network)

    def _first_candidates(self, count: int) -> CandidateSet:
        s, shape = self.settings, self.data.image_shape
        candidates = CandidateSet.blank(count, shape)
        self.were_digits = self._start(candidates, torch.arange(count), s.starts)
        self.patchworks = CandidateSet.blank(count * s.searched // s.candidates, shape)
        if s.searched:
            self._start(self.patchworks, torch.arange(len(self.patchworks)), _PATCHWORK_STARTS)
        self.led = torch.arange(0)  # the patchworks of this round
        return candidates

    def _choose(self) -> Tensor:
        chosen, anew = self._by_lot(self.candidates, self.chosen)
        self.were_digits[anew] = self._start(self.candidates, anew, self.settings.starts)
        return chosen

    def _by_lot(self, candidates: CandidateSet, count: int) -> tuple[Tensor, Tensor]:
        """Indices of some, and of those among them that are to begin anew."""
        chosen = torch.randperm(len(candidates), generator=self.generator)[:count]
        chance = torch.rand(len(chosen), generator=self.generator)
        return chosen, chosen[chance < self.settings.restarted]

    def _start(self, candidates: CandidateSet, indices: Tensor, starts: Sequence[str]) -> Tensor:
        """Begin some of the candidates anew, each from a kind of start drawn by lot.

        Gives which of them are digits, (len(indices),) bool.
        """
        shape, digits = self.data.image_shape, self.data.train
        lot = torch.randint(len(starts), (len(indices),), generator=self.generator)
        kinds = [starts[number] for number in lot]
        seed = int(torch.randint(2**60, (), generator=self.generator))
        real = torch.randint(len(digits), (len(indices),), generator=self.generator)
        others = torch.randint(1, self.data.n_classes, (len(indices),), generator=self.generator)
        # Another class than the digit's, and any class for noise.
        candidates.targets[indices] = (digits.labels[real] + others) % self.data.n_classes
        candidates.begun[indices] = 0
        for number, (index, kind) in enumerate(zip(indices, kinds, strict=True)):
            image = (
                digits.images[real[number]]
                if kind == REAL
                else begin(kind, range(number, number + 1), shape, seed)[0]
            )
            candidates.levels[index] = to_levels(image)
        return torch.tensor([kind == REAL for kind in kinds], dtype=torch.bool)

    def deceive(self) -> Tensor:
        chosen = super().deceive()
        if self.settings.searched:
            self._search()
        return chosen

    def _search(self) -> None:
        """Lead some of the patchworks a little further."""
        patchworks, enough = self.patchworks, self.settings.confidence
        self.led, anew = self._by_lot(patchworks, self.settings.searched // self.here.count)
        self._start(patchworks, anew, _PATCHWORK_STARTS)
        targets = patchworks.targets[self.led].to(self.here.device)

        def score_of(images: Tensor) -> Tensor:
            count, each = images.shape[:2]
            flat = images.flatten(0, 1).to(self.here.device)
            logits = self._seen(flat, flat.new_zeros(len(flat)))
            return log_odds(logits, targets.repeat_interleave(each)).view(count, each)

        found = search(
            from_levels(patchworks.levels[self.led]),
            score_of,
            enough=math.log(enough / (1 - enough)),
            generator=self.generator,
        )
        patchworks.levels[self.led] = to_levels(found)

    def _ascent(self) -> Ascent:
        chance = torch.rand(2, generator=self.generator).tolist()
        return Ascent(momentum=self.settings.momentum).model_copy(
            update={
                "rule": list(RULES)[self.number % len(RULES)],
                "step_size": self.settings.step_size * _LARGER ** chance[0],
                "noise": _SMOOTHING * max(0, 2 * chance[1] - 1),
            }
        )

    def _lesson(self, rubbish: Tensor) -> Lesson:
        n, digits = len(rubbish), self.data.train
        real = torch.randint(len(digits), (n,), generator=self.generator)
        images = digits.images[real]
        bent = augment(images[: n // 2], TrainingSettings(), self.generator)
        level, noisy = torch.rand(2, 2 * n, generator=self.generator)
        found = from_levels(self.candidates.levels[rubbish])
        led = from_levels(self.patchworks.levels[self.led])
        return Lesson(
            torch.cat([bent, images[n // 2 :], found, led]),
            torch.cat([digits.labels[real], torch.full((n + len(led),), self.data.n_classes)]),
            torch.cat([_NOISE * level.square() * (noisy < 0.5), torch.zeros(len(led))]),
        )

    def _loss(self, logits: Tensor, labels: Tensor, rubbish: Tensor) -> Tensor:
        n, weight = len(rubbish), self.settings.rubbish_weight
        targets = self.candidates.targets[rubbish].to(logits.device)
        wrong = F.cross_entropy(logits, labels, reduction="none")
        not_target = F.softplus(log_odds(logits[n : 2 * n], targets))  # -log(1 - p)
        were_digits = self.were_digits[rubbish].to(logits.device)
        of_candidates = torch.where(were_digits, not_target, wrong[n : 2 * n])
        of_rubbish = torch.cat([of_candidates, wrong[2 * n :]])
        return (wrong[:n].mean() + weight * of_rubbish.mean()) / (1 + weight)

    def tensors(self) -> dict[str, Tensor]:
        readers = nn.ModuleDict({"readers": self.readers, "easy": self.easy})
        return super().tensors() | readers.state_dict()

    def own(self) -> dict[str, Tensor]:
        state = super().own() | {"were_digits": self.were_digits}
        if self.settings.searched:
            state["patchworks.levels"] = self.patchworks.levels
            state["patchworks.targets"] = self.patchworks.targets
        return state

    def made(self, network: Network) -> FoolingResult:
        s, classes = self.settings, range(self.data.n_classes)
        starts = [start for start in dict.fromkeys(s.starts) if start != REAL]
        images = [
            begin(start, range(s.measured * len(classes)), self.data.image_shape, FRESH + s.seed)
            for start in starts
        ]
        return fool(
            network,
            torch.arange(self.data.n_classes).repeat(s.measured * len(starts)),
            confidence=_SURE,
            start=torch.cat(images),
            steps=_MEASURED_STEPS,
            ascent=Ascent(rule="sign", step_size=0.01, momentum=s.momentum),
        )

    def measure(self, network: Network, made: FoolingResult, judge: Network) -> Row:
        held_out = self.data.validation
        sure = confidence_of(logits_of(network, held_out.images), held_out.labels)
        agreed = logits_of(judge, made.images).argmax(1) == made.targets
        is_caught, is_read = self.vitals.tolist()
        return {
            "images": len(made),
            "fooling_rate": made.fooling_rate,
            "gibberish_rate": (made.fooled & ~agreed).double().mean().item(),
            "median_steps": made.median_steps,
            "judge_agreement": agreed.double().mean().item(),
            "digits_sure": (sure >= _SURE).double().mean().item(),
            "rubbish_caught": is_caught,
            "digits_read_in_noise": is_read,
        }
