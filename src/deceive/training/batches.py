"""The batches of a training run."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from deceive.common import arguments, processes
from deceive.common.errors import InputError
from deceive.training.augmenting import augment
from deceive.training.settings import TrainingSettings


class Batches:
    """The part of every batch that is this process's: in another order each epoch, augmented.

        >>> import torch
        >>> from deceive import TrainingSettings
        >>> from deceive.training.batches import Batches
        >>> settings = TrainingSettings(epochs=1.5, batch_size=2)
        >>> batches = Batches(torch.rand(4, 1, 8, 8), torch.arange(4), settings)
        >>> [x.shape for x, y in batches]
        [torch.Size([2, 1, 8, 8]), torch.Size([2, 1, 8, 8]), torch.Size([2, 1, 8, 8])]

    Args:
        images: (N, C, H, W) float in [0, 1], on the CPU.
        labels: (N,) of whole numbers.
        settings: how many batches there are, their size, and how they are augmented.
        seed: for the order and the augmentation.
        still: (N,) bool, the images that augmentation leaves alone; none by default.

    Attributes:
        an_epoch: batches per epoch; images left over are not seen in it.
        weight: of this process's mean loss in the mean over all processes.
        generator: draws the augmentation; each process has its own.

    Raises:
        InputError: when images, labels and `still` don't fit each other, when there are too few
            images for a batch or too few epochs for one, or when a batch has fewer than 2 images
            for each process.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        settings: TrainingSettings,
        seed: int = 0,
        still: Tensor | None = None,
    ) -> None:
        size, here = settings.batch_size, processes.here()
        if len(images) != len(labels) or len(images) < size:
            raise InputError(
                f"images: expected at least a batch of {size}, and as many labels; "
                f"got {len(images)} images and {len(labels)} labels"
            )
        if still is not None:
            arguments.as_many("still", still, len(images), "images")
        if size < 2 * here.count:
            raise InputError(
                f"batch_size: expected at least 2 images for each of {here.count} processes, "
                f"got {size}"
            )
        self.an_epoch = len(images) // size
        self._count = round(settings.epochs * self.an_epoch)
        if self._count == 0:
            raise InputError(
                f"epochs: expected enough for a batch, more than {1 / (2 * self.an_epoch):.2g}, "
                f"got {settings.epochs:g}"
            )
        self._images, self._labels, self._still = images, labels.long(), still
        self._settings, self._order = settings, Generator().manual_seed(seed)
        self._mine = processes.share(size)
        self.weight = len(self._mine) * here.count / size
        self.generator = self._order if here.count == 1 else processes.generator(seed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(len(self)):
            place = step % self.an_epoch
            if place == 0:
                order = torch.randperm(len(self._images), generator=self._order)
            batch = order[place * self._settings.batch_size :][self._mine.start : self._mine.stop]
            yield self._seen(batch), self._labels[batch]

    def _seen(self, batch: Tensor) -> Tensor:
        images = self._images[batch].float()
        augmented = augment(images, self._settings, self.generator)
        if self._still is None:
            return augmented
        return torch.where(self._still[batch, None, None, None], images, augmented)
