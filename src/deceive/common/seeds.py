"""Random generators from a seed, an index and a purpose."""

import hashlib

from torch import Generator


def generator_for(seed: int, index: int, purpose: str = "") -> Generator:
    """The generator of image `index` under `seed`, for a purpose; any two are independent."""
    digest = hashlib.blake2b(f"{seed}/{index}{purpose}".encode(), digest_size=8).digest()
    return Generator().manual_seed(int.from_bytes(digest, "little", signed=True))
