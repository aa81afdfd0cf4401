"""`hf:` and transformers, by a stand-in that has the parts of its API that are used."""

import sys
from types import SimpleNamespace

import pytest
from torch import nn

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.models.doors.huggingface import wants_of
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import Scaling
from deceive.common.errors import InputError
from worlds.audits import TINY, band_data

VIT = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
    "rescale_factor": 0.00392156862745098,
    "resample": 3,
    "size": {"height": 224, "width": 192},
}
CONVNEXT = {
    "size": {"shortest_edge": 224},
    "crop_pct": 0.875,
    "image_mean": [0.5],
    "image_std": [1],
}
RESNET = {
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "size": {"shortest_edge": 256},
    "do_normalize": False,
}
EFFICIENT = {
    "size": 380,
    "do_center_crop": False,
    "rescale_factor": 0.00784313725490196,
    "rescale_offset": True,
}


def config(**fields):
    return SimpleNamespace(id2label={0: "cat", 1: "dog"}, num_channels=3, **fields)


@pytest.mark.parametrize(
    ("processor", "geometry", "scaling"),
    [
        (VIT, ((224, 192), None, None), Scaling((0, 1), (0.5,) * 3, (0.25,) * 3)),
        (CONVNEXT, (None, 256, (224, 224)), Scaling((0, 1), (0.5,), (1,))),
        (RESNET, (None, 256, (224, 224)), Scaling()),
        (EFFICIENT, ((380, 380), None, None), Scaling((-1, 1))),
        ({"do_resize": False, "do_rescale": False}, (None, None, None), Scaling((0, 255))),
    ],
)
def test_an_image_processor_says_how_pictures_are_prepared(processor, geometry, scaling):
    wants = wants_of(config(), processor)
    assert (wants.size, wants.resize, wants.crop) == geometry
    assert wants.scaling == scaling
    assert wants.class_names == ("cat", "dog")
    assert wants.channels == 3
    assert wants.bicubic == (processor is VIT)


def test_without_a_processor_the_configuration_gives_the_size():
    wants = wants_of(config(image_size=96), {})
    assert (wants.size, wants.scaling) == ((96, 96), None)
    unnamed = SimpleNamespace(id2label={0: "LABEL_0", 1: "LABEL_1"})
    assert wants_of(unnamed, {}).class_names is None


class Classifier(nn.Module):
    """Answers as transformers' models do, for images of 3×4×4 normalised as `VIT` says."""

    config = SimpleNamespace(id2label=dict(enumerate("0123")), num_channels=3)

    def __init__(self):
        super().__init__()
        self.bands = Bands(sure=12)

    def forward(self, pixel_values):
        assert pixel_values.shape[1:] == (3, 4, 4)
        return SimpleNamespace(logits=self.bands(pixel_values[:, :1] * 0.25 + 0.5))


@pytest.fixture
def library(monkeypatch):
    import torchmetrics  # noqa: F401  it imports the real transformers, where that is installed

    def from_pretrained(place, *, trust_remote_code):
        if place != "ORG/bands":
            raise OSError(f"{place} is not a local folder\nand isn't on the hub")
        return Classifier()

    def processor_of(place):
        return VIT | {"size": {"height": 4, "width": 4}}, {}

    auto = SimpleNamespace(from_pretrained=from_pretrained)
    mixin = SimpleNamespace(get_image_processor_dict=processor_of)
    monkeypatch.setitem(
        sys.modules, "transformers", SimpleNamespace(AutoModelForImageClassification=auto)
    )
    module = SimpleNamespace(ImageProcessingMixin=mixin)
    monkeypatch.setitem(sys.modules, "transformers.image_processing_base", module)


@pytest.mark.usefixtures("library")
def test_it_is_audited_with_its_own_preparation():
    said = []
    report = audit("hf:ORG/bands", band_data(), judge=None, settings=TINY, tell=said.append)
    assert report.failures == []
    assert report.clean.accuracy == 1
    assert report.model.white_box
    assert (report.model.format, report.model.name) == ("transformers", "hf:ORG/bands")
    assert said == [
        "Images: colour, resized to 4×4, pixels from 0 to 1, normalised by mean 0.5, 0.5, 0.5 and "
        "std 0.25, 0.25, 0.25, as its image processor says"
    ]
    assert report.model.prepared in said[0]


@pytest.mark.usefixtures("library")
def test_what_cannot_be_had_is_one_sentence():
    with pytest.raises(
        InputError, match=r"hf:x: expected a folder .* downloaded; x is not a local"
    ):
        load_model("hf:x")


def test_an_object_brings_its_configuration():
    wants = load_model(Classifier()).wants
    assert (wants.channels, wants.class_names) == (3, ("0", "1", "2", "3"))


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'deceive\[hf\]'"):
        load_model("hf:x")
