"""The known layouts. The first reader that recognises a place reads it."""

from deceive.data.readers import folders, idx
from deceive.data.readers.reader import Reader

READERS: tuple[Reader, ...] = (idx.READER, folders.READER)
"""In the order in which they are asked."""
