"""Classifiers: images (N, C, H, W) in [0, 1] in, logits (N, K) out.

Normalisation lives inside, so that outside there are only images and logits. Every network is a
`Classifier`: a normalisation, a body that ends in a feature vector, and a linear head. Some have
other classifiers inside, which help them to read.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Shape

# Mean and standard deviation of MNIST's training pixels.
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081


MOST_OUTPUTS = 100_000  # more are a mistake, and would use up all memory


class Classifier(nn.Module):
    """A named architecture for images of one shape; its weights are what `load_network` loads.

    Attributes:
        architecture: its name in `ARCHITECTURES`.
        image_shape: (C, H, W) of the images it reads.
        n_outputs: the number of logits, K; one more than there are digits where it knows rubbish.
        num_features: the length of `features`.
        readers: other classifiers, of the classes but rubbish, that can only make this one less
            sure; None in most architectures.
        doubt: where there are readers, how often they are taken to be wrong, and to have guessed.
        shifts: by how many pixels, down and right, an image is moved each time that it is asked
            about; its logits are the mean. None in most architectures, which are asked once.
    """

    mean: Tensor
    std: Tensor
    doubt: Tensor

    def __init__(
        self,
        architecture: str,
        n_outputs: int = 10,
        image_shape: Shape = (1, 28, 28),
        *,
        mean: float = MNIST_MEAN,
        std: float = MNIST_STD,
    ) -> None:
        super().__init__()
        checks.one_of("architecture", architecture, ARCHITECTURES)
        checks.at_least("n_outputs", n_outputs, 2, below=MOST_OUTPUTS + 1)
        arguments.shape("image_shape", image_shape, least=0)
        arguments.number("mean", mean)
        arguments.number("std", std)
        least = LEAST_SIDES.get(architecture, 1)
        if min(image_shape[1:]) < least:
            raise InputError(
                f"image_shape: expected images of at least {least}×{least} pixels for a network "
                f"{architecture!r}, got {image_shape[1]}×{image_shape[2]}; fast takes smaller ones"
            )
        mean, std = NORMALISATION.get(architecture, (mean, std))
        self.architecture = architecture
        self.image_shape = image_shape
        self.n_outputs = n_outputs
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))
        self.body, self.num_features = ARCHITECTURES[architecture](image_shape)
        self.head = nn.Linear(self.num_features, n_outputs)
        self.shifts = SHIFTS.get(architecture)
        self.readers: nn.ModuleList | None = None
        if architecture in READERS:
            self.register_buffer("doubt", torch.tensor(0.01))
            self.readers = nn.ModuleList(
                Classifier(reader, n_outputs - 1, image_shape, mean=mean, std=std)
                for reader in READERS[architecture]
            )

    @torch.no_grad()
    def temper(self, power: float) -> None:
        """Multiply the logits by `power`, i.e. raise the probabilities to it and renormalise.

        It goes into the head's weights, and changes no prediction.
        """
        for parameter in self.head.parameters():
            parameter.mul_(power)

    @property
    def hears_noise(self) -> bool:
        """Whether the network takes the noise level as a second input."""
        return isinstance(self.body, NoiseBody)

    def features(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The penultimate activations (N, num_features); for the arguments see `forward`."""
        shape = tuple(images.shape[1:])
        if shape != self.image_shape:  # some others would fit, by halves that round alike
            raise RuntimeError(f"expected images of {self.image_shape}, got {shape}")
        if isinstance(self.body, NoiseBody):
            noise = images.new_zeros(len(images)) if noise is None else noise
            spread = (self.std.square() + noise.square()).sqrt()[:, None, None, None]
            told: Tensor = self.body((images - self.mean) / spread, noise)
            return told
        features: Tensor = self.body((images - self.mean) / self.std)
        return features

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, n_outputs).

        Args:
            images: (N, C, H, W) in [0, 1], or beyond where there is noise in them.
            noise: (N,), standard deviations of the gaussian noise in each image; none by default.
                Networks that don't hear noise pass over it.
        """
        if self.shifts is None:
            return self._logits(images, noise)
        moved = torch.cat([_moved(images, *shift) for shift in self.shifts])
        return self._logits(moved).view(len(self.shifts), -1, self.n_outputs).mean(0)

    def _logits(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        logits: Tensor = self.head(self.features(images, noise))
        if self.readers is None:
            return logits
        # The readers' opinion q is the product of theirs (Hinton 2002). Since log q < 0,
        # p(class) / p(rubbish) is not greater than without them, whatever they say: they can settle
        # which digit an image shows, never that it shows one.
        said = [reader(images).float() for reader in self.readers]
        q = (1 - self.doubt) * torch.stack(said).sum(0).softmax(1)
        doubts = (q + self.doubt / (self.n_outputs - 1)).log()
        return torch.cat([logits[:, :-1] + doubts, logits[:, -1:]], 1)


def _moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images moved by whole pixels: what leaves them is gone, and black comes in."""
    return F.pad(images, (right, -right, down, -down))


class _Strided(nn.Module):
    """Strided convolutions, as many as halve the image's sides to a few pixels.

    No pooling and no batch normalisation: every pixel has a gradient, and an image's
    logits are its own. Pixels are folded 2×2 into channels first, so that no convolution works at
    full size, where a processor spends most of its time on moving memory.
    """

    def __init__(self, shape: Shape, widths: tuple[int, ...] = (80, 160, 160), hidden: int = 128):
        super().__init__()
        rows, columns = (-(-side // 2) for side in shape[1:])
        channels, convolutions = 4 * shape[0], []
        for width in widths:
            # Where a side is one pixel there is nothing left to convolve, and the weights' gradient
            # in bfloat16 is not a number at times.
            if min(rows, columns) > 1:
                convolutions.append(nn.Conv2d(channels, width, 3, stride=2, padding=1))
                channels, rows, columns = width, -(-rows // 2), -(-columns // 2)
        self.convolutions = nn.ModuleList(convolutions)
        self.linear = nn.Linear(channels * rows * columns, hidden)
        self.widths = (*(layer.out_channels for layer in convolutions), hidden)

    def features(self, x: Tensor, *added: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W).

        Whatever is `added`, (N, width) for each layer, is so before the layer's activation.
        """
        height, width = x.shape[2:]
        x = F.pixel_unshuffle(F.pad(x, (0, width % 2, 0, height % 2)), 2)
        x = x.contiguous(memory_format=torch.channels_last)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = _rectified(x + added[number][:, :, None, None] if added else x)
        x = self.linear(x.flatten(1))
        return _rectified(x + added[-1] if added else x)


class StridedBody(_Strided):
    """These convolutions, and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W)."""
        return self.features(x)


class NoiseBody(_Strided):
    """The same, told how noisy each image is: what it makes of that is added to every layer."""

    def __init__(self, shape: Shape, widths: tuple[int, ...] = (80, 160, 160), hidden: int = 128):
        super().__init__(shape, widths, hidden)
        last = nn.Linear(32, sum(self.widths))
        self.noise = nn.Sequential(nn.Linear(2 * _OCTAVES, 32), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W) with noise (N,)."""
        return self.features(x, *self.noise(_waves(noise)).split(self.widths, 1))


def _rectified(x: Tensor) -> Tensor:
    """Leaky, so that no pixel is ever without a gradient (Maas et al. 2013)."""
    return F.leaky_relu(x, 0.1)


# How finely a network hears noise: waves of this many frequencies, each twice the last.
_OCTAVES = 4


def _waves(noise: Tensor) -> Tensor:
    """Sines and cosines (N, 2 × octaves) of the noise's logarithm."""
    phase = (noise + 0.01).log()[:, None] * 2.0 ** torch.arange(
        -1, _OCTAVES - 1, device=noise.device
    )
    return torch.cat([phase.sin(), phase.cos()], 1)


class StemConv(nn.Conv2d):
    """A convolution of few input channels, as one matrix product over unfolded patches.

    With one channel in, the library's kernels run far below the processor's speed towards the
    input, which is where the image loop goes. In training nothing goes there, and theirs are
    quicker.
    """

    def forward(self, images: Tensor) -> Tensor:
        if self.training and not images.requires_grad:
            return super().forward(images)
        (size, _), (stride, _) = self.kernel_size, self.stride
        padding = int(self.padding[0])
        rows, columns = ((n + 2 * padding - size) // stride + 1 for n in images.shape[2:])
        # With one channel a tensor can count as channels-last, for which unfolding is 20 times
        # slower; a view of the flattened images never does.
        images = images.reshape(len(images), -1).view(images.shape)
        patches = F.unfold(images, size, padding=padding, stride=stride).transpose(1, 2)
        out = F.linear(patches, self.weight.flatten(1), self.bias)
        return out.transpose(1, 2).reshape(len(images), -1, rows, columns)


def _block(
    channels_in: int,
    channels: int,
    stride: int = 1,
    size: int = 3,
    conv: type[nn.Conv2d] = nn.Conv2d,
) -> list[nn.Module]:
    return [
        conv(channels_in, channels, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


class _Study(nn.Sequential):
    """Layers that begin with two 3×3 convolutions, each with 2×2 pooling after it.

    Pooling drops a row or column that is left over. So of 28 the last two have no effect on
    anything, nor a gradient, and are left out, for a sixth of the time.
    """

    def forward(self, images: Tensor) -> Tensor:
        rows, columns = (side - (side - 6) % 4 for side in images.shape[2:])
        x = images[:, :, :rows, :columns]
        for layer in self:
            x = layer(x)
        return x


def _study(shape: Shape) -> tuple[nn.Module, int]:
    """The case study's own: two convolutions, max-pooling, three linear layers, dropout 0.3.

    It had max-pooling after the activations. The other way round every output and every gradient
    is the same, and there is a quarter as much to activate.
    """
    convolutions = [
        *(StemConv(shape[0], 32, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU()),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [
        *(nn.Flatten(), nn.Linear(flat, 128), nn.ReLU(), nn.Dropout(0.3)),
        *(nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.3)),
    ]
    return _Study(*convolutions, *linear), 64


def _fast(
    shape: Shape, hidden: int = 128, *, last: int = 64, stride: int = 1
) -> tuple[nn.Sequential, int]:
    """Strided convolutions and no pooling: most of the work is done at a quarter of the pixels."""
    convolutions = [
        *_block(shape[0], 32, stride=2, size=5, conv=StemConv),
        *_block(32, 64, stride=2),
        *_block(64, last, stride),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [nn.Flatten(), nn.Linear(flat, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*convolutions, *linear), hidden


def _judge(shape: Shape) -> tuple[nn.Module, int]:
    """Another family than `fast`: pairs of 3×3 convolutions at full size, max-pooling."""
    convolutions = [
        *(*_block(shape[0], 16), *_block(16, 16), nn.MaxPool2d(2)),
        *(*_block(16, 32), *_block(32, 32), nn.MaxPool2d(2)),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [nn.Flatten(), nn.Linear(flat, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
    return nn.Sequential(*convolutions, *linear), 128


def _draw(shape: Shape) -> tuple[nn.Module, int]:
    """The network of the rounds in which digits emerge."""
    return NoiseBody(shape, (104, 208, 192)), 128


def _reader(shape: Shape) -> tuple[nn.Module, int]:
    """`fast` with half of its weights, which are nearly all before the hidden layer."""
    return _fast(shape, hidden=64)


def _sharp(shape: Shape) -> tuple[nn.Module, int]:
    """A small `fast` that sees no faint greys: a pixel of brightness x is taken for σ(10 (x - ½)).

    What makes another digit of a digit for most networks is a haze of grey all over it. Here it
    takes nearly half of a pixel's range to change it, and still none is without a gradient.
    """
    layers, hidden = _fast(shape, hidden=64, last=80, stride=2)
    return nn.Sequential(nn.Sigmoid(), *layers), hidden


def _resist(shape: Shape) -> tuple[nn.Module, int]:
    """What says whether an image shows a digit at all; which one, its readers help to say."""
    return StridedBody(shape), 128


ARCHITECTURES: dict[str, Callable[[Shape], tuple[nn.Module, int]]] = {
    "draw": _draw,
    "fast": _fast,
    "judge": _judge,
    "reader": _reader,
    "resist": _resist,
    "sharp": _sharp,
    "study": _study,
}

# Smallest image sides for which pooling leaves anything.
LEAST_SIDES = {"judge": 4, "study": 10}

# The architectures of the readers of those that have some.
READERS = {"resist": ("sharp", "sharp")}

# How those move an image that are asked about it more than once (test-time augmentation, Krizhevsky
# et al. 2012). What deceives a network in one place seldom does in the next; a digit is one in all.
SHIFTS = {"resist": ((0, 0), (1, 1), (-1, -1))}

# Mean and standard deviation of those that normalise images by others than the data's.
NORMALISATION = {"sharp": (0.5, 0.1)}


def _flat_size(layers: list[nn.Module], shape: Shape) -> int:
    """Number of features after convolutions and pooling, computed without running them."""
    channels, rows, columns = shape
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            size, stride, padding = (
                each[0] if isinstance(each, tuple) else int(each)
                for each in (layer.kernel_size, layer.stride, layer.padding)
            )
            rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (rows, columns))
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
    return channels * rows * columns
