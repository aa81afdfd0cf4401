"""Where a data set is if no folder is given: in a clone, in the cache, or not yet downloaded."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deceive.common.errors import InputError

_CLONE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Source:
    """A data set of four IDX files, and how to recognise them."""

    name: str
    """For messages; in lower case, its folder in the clone's `data`."""
    sha256: Mapping[str, str]
    """SHA-256 of each uncompressed file: training images and labels, then those for testing."""
    md5: Mapping[str, str]
    """The MD5 of each download, gzipped."""
    mirror: str
    """The URL before the file names."""
    clone: Path = _CLONE
    """The clone of this project, whose files are verified."""
    cache: Path | None = None
    """The folder for downloads; when None, the user's cache."""

    @property
    def checksum(self) -> str:
        """The `Dataset.checksum` of these files."""
        return hashlib.sha256("".join(self.sha256.values()).encode()).hexdigest()

    @property
    def shipped(self) -> Path:
        """The folder in the clone."""
        return self.clone / "data" / self.name.lower()

    def folder(self) -> Path:
        """The clone's data (or that of a clone around the working directory), or the downloads."""
        for folder in (self.shipped, Path("data") / self.name.lower()):
            with suppress(OSError):  # an unreadable working directory
                if folder.is_dir():
                    return folder
        return self.download()

    def download(self) -> Path:
        """Fetch what is missing into the cache; each file appears there whole.

        Raises:
            InputError: when a file can't be fetched, or has another checksum.
        """
        # Imported here, because it is slow to import and a clone never needs it.
        import pooch  # type: ignore[import-untyped]

        cache = self.cache or Path(pooch.os_cache("deceive"))
        for name, md5 in self.md5.items():
            try:
                pooch.retrieve(self.mirror + name, f"md5:{md5}", name, cache, progressbar=True)
            except (OSError, ValueError) as error:  # requests' errors are OSErrors, of many lines
                failed_on_the_way = isinstance(error, OSError)
                why = type(error).__name__ if failed_on_the_way else "it has another checksum"
                raise InputError(
                    f"{self.mirror}{name}: expected to download {self.name} into {cache}, but "
                    f"failed ({why}); when offline, name a folder that holds the four files with "
                    "--data"
                ) from error
        return cache

    def verify(self, paths: Sequence[Path], checksums: Sequence[str]) -> None:
        """Raise `InputError` unless these are its own four files."""
        for path, expected, came in zip(paths, self.sha256.values(), checksums, strict=True):
            if came != expected:
                raise InputError(
                    f"{path}: expected {self.name}'s own file (SHA-256 {expected[:12]}… "
                    f"uncompressed), got another ({came[:12]}…); data of your own goes into "
                    "another folder, named with --data"
                )


MNIST = Source(
    name="MNIST",
    sha256={
        "train-images-idx3-ubyte": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    # Of the original downloads: the clone's files were packed again, so their MD5s differ.
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    mirror="https://ossci-datasets.s3.amazonaws.com/mnist/",
)
