"""`timm:` and `torchvision:`, by stand-ins that have the parts of their APIs that are used."""

import sys
from enum import Enum
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import Scaling
from deceive.common.errors import InputError

MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)


def network(num_classes=1000):
    made = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return made.append(nn.Linear(2, num_classes))


class Subset:
    def num_classes(self):
        return 2

    def index_to_description(self, place):
        return ["tench, Tinca tinca", "goldfish, Carassius auratus"][place]


def timm_of(mode="center"):
    def create_model(name, *, pretrained, num_classes=1000):
        if pretrained:
            raise RuntimeError("no network\nand no cache")
        return network(num_classes)

    config = {"input_size": (3, 224, 224), "crop_pct": 0.9, "crop_mode": mode}
    data = SimpleNamespace(
        resolve_model_data_config=lambda model: config | {"mean": MEAN, "std": STD},
        infer_imagenet_subset=lambda model: "imagenet" if len(model[3].bias) == 2 else None,
        ImageNetInfo=lambda subset: Subset(),
    )
    return SimpleNamespace(create_model=create_model, data=data)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    return network(2).state_dict()


@pytest.mark.parametrize(
    ("mode", "geometry"),
    [("center", (None, 248, (224, 224))), ("squash", ((224, 224), None, None))],
)
def test_timm_declares_its_configuration(tmp_path, monkeypatch, weights, mode, geometry):
    monkeypatch.setitem(sys.modules, "timm", timm_of(mode))
    save_file(weights, tmp_path / "mine.safetensors")
    loaded = load_model(f"timm:tiny@{tmp_path / 'mine.safetensors'}")
    assert torch.equal(loaded.model[3].bias, weights["3.bias"])
    assert not loaded.model.training
    wants = loaded.wants
    assert (wants.size, wants.resize, wants.crop) == geometry
    assert wants.scaling == Scaling(mean=MEAN, std=STD)
    assert wants.class_names == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert list(loaded.digests) == ["mine.safetensors"]


class Cubic:
    value = "bicubic"


class Recipes(Enum):
    """As torchvision's `WeightsEnum`."""

    V1 = 224
    DEFAULT = 224

    def transforms(self):
        return SimpleNamespace(
            resize_size=[256], crop_size=[224], mean=MEAN, std=STD, interpolation=Cubic
        )

    @property
    def meta(self):
        return {"categories": ["tench", "goldfish"]}


def torchvision_of():
    def get_model(name, *, weights, num_classes=1000):
        if isinstance(weights, Recipes):
            return network(2)
        return network(num_classes)

    models = SimpleNamespace(get_model=get_model, get_model_weights=lambda name: Recipes)
    return SimpleNamespace(models=models)


def test_torchvision_declares_the_recipe_of_its_weights(tmp_path, monkeypatch, weights):
    monkeypatch.setitem(sys.modules, "torchvision", torchvision_of())
    torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, tmp_path / "mine.pt")
    own = load_model(f"torchvision:tiny@{tmp_path / 'mine.pt'}")
    assert torch.equal(own.model[3].bias, weights["3.bias"])
    assert own.wants.class_names is None
    for spec in ("torchvision:tiny", "torchvision:tiny@V1"):
        wants = load_model(spec).wants
        assert (wants.channels, wants.resize, wants.crop) == (3, 256, (224, 224))
        assert wants.scaling == Scaling(mean=MEAN, std=STD)
        assert wants.class_names == ("tench", "goldfish")
        assert wants.bicubic


@pytest.mark.parametrize("door", ["timm", "torchvision"])
def test_what_cannot_be_had_is_one_sentence(tmp_path, monkeypatch, door):
    monkeypatch.setitem(sys.modules, "timm", timm_of())
    monkeypatch.setitem(sys.modules, "torchvision", torchvision_of())
    torch.save({"other": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([nn.Linear(1, 1)], tmp_path / "pickle.pt")
    (tmp_path / "text.safetensors").write_text("no weights")
    for file, said in [
        ("other.pt", "parameter '3.bias', found none"),
        ("pickle.pt", "expected a state_dict in a .safetensors file or from torch.save"),
        ("text.safetensors", "expected a state_dict"),
        ("absent.pt", "No such file"),
    ]:
        with pytest.raises(InputError, match=said) as error:
            load_model(f"{door}:tiny@{tmp_path / file}")
        assert "\n" not in str(error.value)
    if door == "timm":
        with pytest.raises(InputError, match="downloaded or are given as timm:tiny@FILE; no netw"):
            load_model("timm:tiny")


@pytest.mark.parametrize("door", ["timm", "torchvision"])
def test_without_the_library_it_is_named(monkeypatch, door):
    monkeypatch.setitem(sys.modules, door, None)
    with pytest.raises(InputError, match=f"{door}:tiny: expected .*a torchvision that fits this"):
        load_model(f"{door}:tiny")
