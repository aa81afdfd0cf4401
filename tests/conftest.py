"""Tiny networks of known answers.

`Bands` is the one to reckon with: class k has a band of rows to itself, and its logit is `sure`
times the band's mean. The gradient of every objective that looks at all the logits is up in the
target's band and down in the others, from anywhere, so the best image is the band white and the
rest black, and the greatest confidence that any image can reach is `Bands.summit`.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import settings
from torch import Tensor, nn

from deceive.common.levels import Bounds, Shape, to_levels
from deceive.common.runtime import forbid_telemetry
from deceive.data.dataset import Dataset

# The fixtures of the page, in a browser.
pytest_plugins = ["worlds.browser"]

# Quick, the same every time, and nothing left behind in the working directory.
settings.register_profile(
    "deceive", max_examples=20, deadline=None, derandomize=True, database=None
)
settings.load_profile("deceive")

# Before any test imports ONNX Runtime itself.
forbid_telemetry()

# For networks this small a second thread costs more than it brings: here, and in the processes and
# notebooks that tests start. With as many tests at a time as there are cores, it costs eightfold.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# The longest files come first, so that the workers of pytest-xdist end together. The page's first
# file builds it; at the same time another worker would wait for that.
LONGEST = [
    "test_page",
    "test_notebooks",
    "test_export",
    "test_page_visits",
    "test_processes",
    "test_page_rules",
    "test_training_step",
    "test_guard_onnx",
    "test_soak",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files before all others."""
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_configure() -> None:
    """Keep tests of audits from writing to the summary of the workflow that they run in."""
    os.environ.pop("GITHUB_STEP_SUMMARY", None)


class Bands(nn.Module):
    """A linear classifier: logit k is `sure` × the mean of band k, in shares of the bounds."""

    def __init__(
        self,
        n_classes: int = 4,
        shape: Shape = (1, 4, 4),
        sure: float = 8.0,
        bounds: Bounds = (0.0, 1.0),
    ) -> None:
        super().__init__()
        self.image_shape, self.n_classes, self.sure = shape, n_classes, sure
        self.low, self.width = bounds[0], bounds[1] - bounds[0]
        weight = torch.zeros(n_classes, *shape)
        for k, rows in enumerate(torch.arange(shape[1]).tensor_split(n_classes)):
            weight[k, :, rows] = sure / (shape[0] * len(rows) * shape[2])
        self.weight = nn.Parameter(weight.flatten(1))

    @property
    def summit(self) -> float:
        """The greatest confidence there is: one band white, the others black."""
        return self.confidence(1.0)

    def confidence(self, level: float) -> float:
        """The target's confidence when its band is at `level` (0 to 1) and the rest is black."""
        return 1 / (1 + (self.n_classes - 1) * math.exp(-self.sure * level))

    def best(self, target: int) -> Tensor:
        """The image (1, C, H, W) in [0, 1] that reaches the summit."""
        return (self.weight[target] > 0).float().reshape(1, *self.image_shape)

    def forward(self, images: Tensor) -> Tensor:
        return F.linear((images.flatten(1) - self.low) / self.width, self.weight)


class Tilted(Bands):
    """`Bands` that look harder at the right (or left, below 0) of each band.

    The same images are best, and others are read differently.
    """

    def __init__(self, tilt: float = 0.5, sure: float = 9.0) -> None:
        super().__init__(sure=sure)
        width = self.image_shape[2]
        columns = torch.linspace(1 - tilt, 1 + tilt, width).repeat(self.weight.shape[1] // width)
        self.weight = nn.Parameter(self.weight.detach() * columns)


class After(nn.Module):
    """`Bands` with something done to its logits."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.bands, self.change = Bands(), change
        self.image_shape = self.bands.image_shape

    def forward(self, images: Tensor) -> object:
        return self.change(self.bands(images))


class Restless(nn.Module):
    """Left in training mode, in part; each forward in that mode would change its buffers.

    Some parameters are frozen, some hold a gradient. Its buffer `calls` counts every forward.
    """

    image_shape = (1, 4, 4)
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.norm = nn.BatchNorm2d(1)
        self.dropout = nn.Dropout(0.5)
        self.bands = Bands()
        self.quiet = nn.Sequential(nn.BatchNorm1d(4), nn.Identity())
        self.train()
        self.quiet.eval()
        self.bands.requires_grad_(False)
        for n, parameter in enumerate(self.norm.parameters()):
            parameter.grad = torch.full_like(parameter, n + 0.5)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.quiet(self.dropout(self.bands(self.norm(images))))
        return logits


class NaNAfter(nn.Module):
    """`Bands` that breaks after so many calls of any one copy of it."""

    image_shape = (1, 4, 4)
    left: Tensor

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.bands = Bands()
        self.register_buffer("left", torch.tensor(calls))

    def forward(self, images: Tensor) -> Tensor:
        self.left -= 1
        logits: Tensor = self.bands(images)
        return logits * (torch.nan if self.left < 0 else 1)


class Viewing(nn.Module):
    """Its `view` wants contiguous memory, before the convolution and after it."""

    image_shape = (2, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.linear = nn.Linear(4 * 4 * 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        images = images.view(len(images), -1).view(len(images), *self.image_shape)
        logits: Tensor = self.linear(self.conv(images).view(len(images), -1))
        return logits


class InPlace(nn.Module):
    """Normalises its input in place, as some do."""

    image_shape = (1, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.bands(images.sub_(0.5).mul_(2))
        return logits


class Recording(nn.Module):
    """A trainable linear classifier that keeps the batches it was shown."""

    def __init__(self, shape: Shape = (1, 4, 4), n_classes: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(math.prod(shape), n_classes)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def state_of(model: nn.Module) -> list[object]:
    """Everything about a model that must be as before, bit for bit."""
    tensors = [*model.parameters(), *model.buffers()]
    return [
        [tensor.detach().clone() for tensor in tensors],
        [None if tensor.grad is None else tensor.grad.clone() for tensor in tensors],
        [tensor.requires_grad for tensor in tensors],
        [id(tensor) for tensor in tensors],
        [module.training for module in model.modules()],
        [sorted(vars(module)) for module in model.modules()],
    ]


def same_state(one: list[object], other: list[object]) -> bool:
    """Whether two of `state_of` are bit-identical."""

    def same(a: object, b: object) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.dtype == b.dtype and torch.equal(a, b)
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b

    return same(one, other)


@pytest.fixture
def bands() -> Bands:
    """Four classes on 4×4 images; its summit is 0.99900."""
    return Bands()


@pytest.fixture(scope="session")
def data() -> Dataset:
    """`worlds.audits.band_data`, unless a file has data of its own."""
    from worlds.audits import band_data

    return band_data()


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each type that the work may be done in, whatever this processor would choose."""
    monkeypatch.setenv("DECEIVE_PRECISION", request.param)
    name: str = request.param
    return name


@pytest.fixture
def untouched_rng() -> Iterator[None]:
    """Fails the test that leaves torch's global random generator elsewhere than it found it."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach too, which `tmp_path` keeps out."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes `worlds.files.small`, with some of its files' contents replaced."""
    from worlds.files import small, write

    def make(changes: dict[str, bytes] | None = None) -> Path:
        return write(tmp_path / "set", small() | (changes or {}))

    return make


@pytest.fixture(scope="session")
def quarters_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of `worlds.quarters` in MNIST's format: four classes of 8×8 pixels."""
    from worlds.files import idx
    from worlds.quarters import quarters

    folder = tmp_path_factory.mktemp("quarters")
    for name, count, seed in (("train", 6200, 0), ("t10k", 300, 1)):
        split = quarters(count, seed)
        levels, labels = to_levels(split.images)[:, 0].numpy(), split.labels.byte().numpy()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(levels))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


@pytest.fixture(scope="session")
def played(quarters_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of rounds on these data, `run`, and their judge."""
    from deceive.cli import main
    from worlds.rounds import FLAGS

    out = tmp_path_factory.mktemp("played")
    judge = f"{out}/judge.safetensors"
    for words in (
        ["train", "--architecture", "judge", "--epochs", "2", "--out", judge],
        ["rounds", "--judge", judge, "--out", f"{out}/run", *FLAGS, "--judged", "80"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, "--data", str(quarters_folder)])
        assert end.value.code == 0
    return out
