"""The page's starts, steps and noise are the library's, pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deceive import fool, load_network
from deceive.common.levels import UNIT, from_levels, to_levels
from deceive.fooling.batch import Entrance
from deceive.fooling.climber import Climber
from deceive.fooling.drawing import DRAWING
from deceive.fooling.objectives import log_odds
from deceive.fooling.starts import STARTS, begin
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of
from deceive.storage.export import export_onnx

STEPS = DRAWING.schedule.steps

# The two round differently. Where that turns a ReLU on or off, an image of ten goes another way.
NEARLY_ALL = 9


class Recorder(nn.Module):
    """The network, and every image that the loop asked it about, as it was before rounding."""

    seen: list[torch.Tensor]

    def __init__(self, network, seen):
        super().__init__()
        self.network = network
        type(self).seen = seen

    def forward(self, images):
        if images.requires_grad:
            self.seen.append(images.detach().clone())
        return self.network(images)


STEPS_IN_PAGE = """async ({ starts, targets, steps, confidence }) => {
    const rule = { confidence, steps: steps + 1 };
    const images = starts.map((start) => Float32Array.from(start));
    const deception = await window.deceive.networks.deceive("fast", targets, images, rule);
    for (let k = 0; k < steps; k++) await deception.step();
    return (await deception.pixels()).map((pixels) => [...pixels]);
}"""


@pytest.mark.parametrize("seed", [0, 1])
def test_fifty_steps_are_the_librarys_pixel_by_pixel(visit, tmp_path, monkeypatch, seed):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    # Less sure of everything, so that no image arrives before the fiftieth step.
    network = load_network("fast").requires_grad_(False)
    network.head.weight *= 0.1
    network.head.bias *= 0.1
    export_onnx(network, tmp_path / "shy.onnx")
    page = visit(routes={"**/fast.onnx": {"body": (tmp_path / "shy.onnx").read_bytes()}})

    seen: list[torch.Tensor] = []
    starts = begin("uniform", range(10), (1, 28, 28), seed)
    settings = {"confidence": 0.9999, "start": starts, "steps": 51}
    result = fool(Recorder(network, seen), range(10), **settings)
    assert result.steps.tolist() == [51] * 10
    assert len(seen) == 51
    came = page.evaluate(
        STEPS_IN_PAGE,
        {
            "starts": starts.flatten(1).tolist(),
            "targets": list(range(10)),
            "steps": 50,
            "confidence": 0.9999,
        },
    )
    gaps = (torch.tensor(came).view(10, 1, 28, 28) - seen[50]).abs().amax((1, 2, 3))
    assert (gaps <= 1e-3).sum() >= NEARLY_ALL
    assert (seen[50] - starts).abs().mean() > 0.1  # they have moved


@pytest.mark.shipped
def test_the_end_is_the_librarys_too(visit, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    starts = begin("uniform", range(10), (1, 28, 28), 3)
    result = fool(load_network("fast"), range(10), start=starts)
    came = visit().evaluate(
        """async (starts) => {
            const images = starts.map((start) => Float32Array.from(start));
            const { networks } = window.deceive;
            const deception = await networks.deceive("fast", [...images.keys()], images);
            let state;
            do state = await deception.step(); while (!state.finished);
            return state.images.map((image) => ({ ...image, levels: [...image.levels] }));
        }""",
        starts.flatten(1).tolist(),
    )
    assert all(one["fooled"] for one in came)
    alike = 0
    for one, levels, confidence, steps in zip(
        came, result.levels.long(), result.confidence.tolist(), result.steps.tolist(), strict=True
    ):
        gap = (torch.tensor(one["levels"]).view(1, 28, 28) - levels).abs().max()
        near = one["confidence"] == pytest.approx(confidence, abs=1e-3)
        alike += bool(gap <= 1 and near and one["steps"] == steps)
    assert alike >= NEARLY_ALL


DRAWN_IN_PAGE = """async ({ starts, seed, changed }) => {
    const { networks, generator, normal } = window.deceive;
    const name = "rounds-000010";
    const images = starts.map((start) => Float32Array.from(start));
    const { ascent } = networks.rule(name);
    const rule = { seed, ascent: { ...ascent, ...changed } };
    const deception = await networks.deceive(name, [...images.keys()], images, rule);
    await deception.step(ascent.schedule.steps);
    const pixels = (await deception.pixels()).map((image) => [...image]);
    const { images: ends, finished } = await deception.step();
    // The noise that each image was seen in, drawn again.
    const noise = images.map((image, i) => {
        const random = generator(seed, i + 1);
        return Array.from({ length: ascent.schedule.steps * image.length }, () => normal(random));
    });
    const confidence = ends.map((image) => image.confidence);
    return { pixels, noise, finished, confidence, steps: ends.map((image) => image.steps) };
}"""


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"rule": "momentum", "momentum": 0.5, "stepSize": 0.05},
        {"rule": "adam"},
        {"softness": 3},
    ],
    ids=["sign", "momentum", "adam", "softly"],
)
def test_drawing_is_the_librarys_pixel_by_pixel(
    visit, site_with_rounds, models_with_rounds, monkeypatch, changed
):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    network = load_network(models_with_rounds / "rounds-000010.safetensors")
    starts = begin("uniform", range(10), (1, 28, 28), 5)
    given = {"starts": starts.flatten(1).tolist(), "seed": 7, "changed": changed}
    came = visit(site_with_rounds).evaluate(DRAWN_IN_PAGE, given)
    noise = torch.tensor(came["noise"]).view(10, STEPS, 1, 28, 28)

    def of_page(seed, number):
        own = iter(noise[number])
        return lambda tensor: tensor.copy_(next(own))

    names, targets = {"stepSize": "step_size"}, torch.arange(10)
    ascent = DRAWING.model_copy(update={names.get(k, k): v for k, v in changed.items()})
    net = FrozenCopy(network, starts[:1])
    climber = Climber(net, ascent, log_odds, UNIT, STEPS)
    batch = Entrance(lambda numbers: starts, targets, ascent, 0, noise=of_page).batch(range(10))
    for _ in range(STEPS):
        batch = climber.step(batch)
    ends = batch.images
    assert came["finished"]
    assert came["steps"] == [STEPS] * 10

    # A gradient of next to nothing may have one sign here and the other there.
    gap = (torch.tensor(came["pixels"]).view(10, 1, 28, 28) - ends).abs()
    assert (gap > 1e-3).float().mean() <= 0.002
    assert (ends - starts).abs().mean() > 0.1  # they have moved
    reached = confidence_of(net.exact_logits(from_levels(to_levels(ends))), targets)
    assert came["confidence"] == pytest.approx(reached.tolist(), abs=0.01)


def test_noise_is_gaussian_and_no_image_has_anothers(visit):
    draw = """([seed, stream]) => {
        const random = window.deceive.generator(seed, stream);
        return Array.from({ length: 20_000 }, () => window.deceive.normal(random));
    }"""
    page = visit()
    first, second, other = (
        torch.tensor(page.evaluate(draw, given)) for given in ([1, 1], [1, 2], [2, 1])
    )
    for one in (first, second, other):
        assert one.mean().item() == pytest.approx(0, abs=0.03)
        assert one.std().item() == pytest.approx(1, abs=0.03)
        assert (one.abs() > 1.96).float().mean().item() == pytest.approx(0.05, abs=0.01)
    together = torch.corrcoef(torch.stack([first, second, other]))
    assert (together - torch.eye(3)).abs().max() < 0.03
    assert torch.equal(torch.tensor(page.evaluate(draw, [1, 1])), first)


def test_the_starts_are_drawn_as_the_librarys(visit):
    page = visit()
    coarse = torch.rand(7, 7, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(coarse[None, None], size=(28, 28), mode="bicubic")[0, 0]
    came = page.evaluate("(c) => [...window.deceive.enlarged(c, 7, 28)]", coarse.flatten().tolist())
    assert torch.allclose(torch.tensor(came).view(28, 28), expected, atol=1e-5)
    draw = """(name) => Array.from({ length: 100 }, (_, seed) =>
        [...window.deceive.starts[name](window.deceive.generator(seed))])"""
    for name in STARTS:
        images = torch.tensor(page.evaluate(draw, name), dtype=torch.float32)
        own = begin(name, range(100), (1, 28, 28), 0).flatten(1)
        assert images.shape == own.shape
        assert images.min() >= 0
        assert images.max() <= 1
        assert images.mean().item() == pytest.approx(own.mean().item(), abs=0.02)
        assert images.std().item() == pytest.approx(own.std().item(), abs=0.02)
        if name != "blank":
            assert len(images.unique(dim=0)) == 100
