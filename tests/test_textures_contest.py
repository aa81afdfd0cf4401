"""The contest of guards of other images: its classifiers and its table."""

import torch
from benchmarks.colour import ResNet, resnet
from benchmarks.contests import textures
from safetensors.torch import save_file


def test_its_table_shows_both_sides():
    rates = dict.fromkeys(("uniform", "gaussian", "smooth", "blank", "squares"), 0.4)
    side = {
        "accuracy": 0.91,
        "own_threshold": 0.5,
        "gibberish_at_own": rates | {"squares": 0.9, "real": 0.7, "search": None},
        "auroc": {"uniform": 0.98, "squares": 0.8, "other data": 0.7},
    }
    behind = side | {"gibberish_at_own": dict.fromkeys(side["gibberish_at_own"], 0.0)}
    passing = behind | {"own_threshold": 0.4, "own_reached": 0.95, "auroc": {}}
    facts = {"date": "", "processor": "", "cores": 2, "threads": 1, "load_average_at_start": 0}
    facts |= {"working_dtype": "float32", "versions": {"torch": "2"}}
    row = {"name": "garments", "seed": 0, "before": side, "behind": behind}
    row |= {"passing": passing}
    text = textures.table({"facts": facts, "rows": [row | {"plan": {"candidates": 20}}]})
    before = (
        "| garments | 0 | before | 20 | 91.0% | 50.0% | –" + 4 * " | 40.0%" + " | 90.0% | 50.0%"
    )
    assert f"{before} | 70.0% | – | 0.8000 | 0.7000 |" in text
    assert "|  | 0 | behind | 20 | 91.0% | 50.0% | – | 0.0% |" in text
    assert "|  | 0 | behind, where images pass | 20 | 91.0% | 40.0% | 95.0% | 0.0% |" in text


def test_the_resnet_is_made_again_from_its_weights(tmp_path):
    network, images = ResNet(3).eval(), torch.rand(4, 3, 32, 32)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.testing.assert_close(
        resnet(str(tmp_path / "weights.safetensors"))(images), network(images)
    )


def test_its_first_layer_whitens_patches():
    network = ResNet()
    images = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0)).cumsum(3)
    network.whiten(images)
    seen = network.whitening(images)[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(seen), torch.eye(12), atol=0.06, rtol=0)


def test_it_reads_an_image_as_its_mirror_image():
    network, images = ResNet(3).eval(), torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(images.flip(3)), network(images))
