"""Models whose answer to an image is not settled by the image."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import After, Bands
from deceive.auditing import Interface, Scaling, audit
from deceive.auditing.parts.search import SearchPart
from deceive.auditing.verdict import verdict
from deceive.common.errors import UnsteadyWarning
from deceive.fooling.fool import fool
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import logits_of
from deceive.networks.steadiness import ASKINGS, STEADY, Manner, manner_of, settled
from worlds.audits import TINY, after_clean, band_data, context_of, quiet

IMAGES = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Dropping(Bands):
    """Forgets pixels by chance, in evaluation mode too."""

    def forward(self, images):
        return super().forward(F.dropout(images, 0.3))


class InCompany(Bands):
    """Normalises by the statistics of the batch."""

    def forward(self, images):
        return super().forward(
            images / images.amax().clamp_min(0.1) + (images - images.mean(0)) * 0.3
        )


class NeverAlone(InCompany):
    def forward(self, images):
        if len(images) == 1:
            raise ValueError("more than 1 value per channel, please")
        return super().forward(images)


class Both(Dropping):
    def forward(self, images):
        spread = images.var(0, unbiased=False).mean()  # none in one image
        return super().forward(images) + spread * torch.tensor([100, 0, 0, 0])


class Seldom(Bands):
    """Every twelfth answer is another, as of one that is chosen from several networks."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, images):
        self.asked += 1
        return super().forward(images if self.asked % 12 else images.flip(2))


@pytest.mark.parametrize(
    ("model", "manner"),
    [
        (Bands(), STEADY),
        (After(lambda logits: logits.half().float()), STEADY),
        (After(lambda logits: logits * torch.nan), STEADY),  # that is another fault
        (Dropping(), Manner(at_random=True)),
        (InCompany(), Manner(by_company=True)),
        (NeverAlone(), Manner(by_company=True, alone=False)),
        (Both(), Manner(at_random=True, by_company=True)),
    ],
    ids=["plain", "half", "nan", "dropout", "batch", "never alone", "both"],
)
@pytest.mark.parametrize("seed", range(3))
def test_how_a_model_answers_is_found_out_by_asking_it_the_same(model, manner, seed):
    torch.manual_seed(seed)
    assert manner_of(lambda images: logits_of(model, images), IMAGES) == manner


def test_a_model_that_seldom_answers_otherwise_is_found_out():
    model = Seldom()
    assert manner_of(lambda images: logits_of(model, images), IMAGES).at_random


def test_a_model_that_answers_at_random_and_is_fooled_by_nothing_is_not_asked_again():
    class Picky(Dropping):
        def forward(self, images):
            assert len(images) > 0
            return super().forward(images)

    torch.manual_seed(0)
    with pytest.warns(UnsteadyWarning, match="answers vary between calls"):
        result = fool(Picky(sure=3), 0, steps=2)
    assert not result.fooled.any()


def test_the_mean_of_several_answers_is_of_their_probabilities():
    answers = iter(torch.randn(ASKINGS, 8, 4))
    given = []

    def ask(images):
        given.append(next(answers))
        return given[-1]

    settled_by = settled(ask, Manner(at_random=True), IMAGES)
    expected = torch.stack(given).softmax(2).mean(0)
    torch.testing.assert_close(settled_by.exp(), expected)
    assert len(given) == ASKINGS


def test_an_image_is_asked_about_alone_where_company_matters():
    model = InCompany()
    found = settled(lambda images: model(images), Manner(by_company=True), IMAGES)
    torch.testing.assert_close(found, torch.cat([model(image[None]) for image in IMAGES]))


def test_what_fooled_a_model_in_company_fools_it_alone():
    model = InCompany(sure=12)
    with pytest.warns(UnsteadyWarning, match="depend on the other images in the batch"):
        result = fool(model, range(4), count=3, shape=(1, 4, 4), steps=60)
    assert result.fooled.any()
    alone = torch.cat([model(image[None]) for image in result.images]).softmax(1)
    confidence = alone.gather(1, result.targets[:, None])[:, 0]
    torch.testing.assert_close(result.confidence, confidence)
    assert (confidence[result.fooled] >= 0.99).all()


def test_a_model_is_watched_by_images_whose_statistics_differ():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8, track_running_stats=False)
    parts = [nn.Conv2d(1, 8, 5, 2), norm, nn.ReLU(), nn.Flatten(), nn.Linear(1152, 10)]
    with pytest.warns(UnsteadyWarning, match="depend on the other images in the batch"):
        fool(nn.Sequential(*parts), 0, steps=1)


def test_what_fooled_a_model_by_luck_does_not_count():
    """Four in five answers are sure of anything; all of five answers are in one case of three."""

    class Lucky(nn.Module):
        image_shape = (1, 4, 4)

        def forward(self, images):
            sure = 20.0 * (torch.rand(len(images), 1) < 0.8)
            return F.pad(sure + 0.01 * images.flatten(1).sum(1, keepdim=True), (0, 3))

    torch.manual_seed(0)
    with pytest.warns(UnsteadyWarning, match="answers vary between calls"):
        result = fool(Lucky(), 0, count=200, steps=30, confidence=0.99)
    # Nearly each one has at some time been called the target with 0.99.
    assert (result.steps < 30).double().mean() > 0.8
    assert 0.2 < result.fooling_rate < 0.5
    assert (result.confidence[~result.fooled] < 0.99).all()
    assert (result.confidence >= 0.99).sum() == result.fooled.sum()


def test_a_steady_model_is_asked_no_more_than_once():
    frozen = FrozenCopy(Bands(), IMAGES[:1])
    frozen.watch(IMAGES)
    assert frozen.manner == STEADY
    assert STEADY.cautions == ()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Dropping(sure=20), "answers vary between calls"),
        (InCompany(sure=12), "depend on the other images in the batch"),
        (NeverAlone(sure=12), "it can't run single images"),
    ],
)
@pytest.mark.parametrize("black", [False, True])
def test_an_audit_says_that_its_model_is_not_steady(model, said, black):
    torch.manual_seed(0)
    subject = (lambda images: model(images).detach()) if black else model
    settings = TINY.model_copy(update={"ways": ("momentum",)})
    found = audit(
        subject, band_data(), judge=None, settings=settings, interface=Interface(Scaling())
    )
    assert said in found.warnings[0]
    assert found.complete
    assert verdict(found)[0] == found.warnings[0]


def test_what_fooled_a_search_by_luck_does_not_count(tmp_path):
    def lucky(images):
        return F.pad(20.0 * (torch.rand(len(images), 1) < 0.8), (0, 3))

    torch.manual_seed(0)
    settings = TINY.model_copy(update={"searched": 40})
    context = after_clean(context_of(lucky, tmp_path, settings=settings))
    SearchPart("squares").run(context, quiet)
    kept = context.run.load_arrays("search-squares-passed")
    targets = kept["targets"] == 0
    assert (kept["asked_steps"][targets] < 200).all()  # each of them passed at some time
    assert 0 < kept["asked_fooled"][targets].mean() < 0.8
    assert not kept["asked_fooled"][~targets].any()
    assert ((kept["asked_confidence"] >= 0.99) >= kept["asked_fooled"]).all()
