"""The known layouts. The first reader that recognises a place reads it."""

from deceive.data.readers import cifar, csvs, folders, idx, npy, npz
from deceive.data.readers.reader import Reader

READERS: tuple[Reader, ...] = (
    idx.READER,
    cifar.READER,
    npz.READER,
    npy.READER,
    csvs.READER,
    folders.READER,
)
"""In the order in which they are asked."""
