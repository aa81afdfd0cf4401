"""The known layouts. The first reader that recognises a place reads it."""

from deceive.data.readers import cifar, csvs, folders, idx, npy, npz, parquet, saved
from deceive.data.readers.reader import Reader

READERS: tuple[Reader, ...] = (
    idx.READER,
    cifar.READER,
    npz.READER,
    npy.READER,
    csvs.READER,
    saved.READER,
    parquet.READER,
    folders.READER,
)
"""In the order in which they are asked."""
