"""The page of a clone, which is built there, or of an installed package, which brings it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

from deceive.common.errors import InputError
from deceive.storage.shipped import shipped_weights
from deceive.webpage.build import CLONE, build
from deceive.webpage.packing import unpack
from deceive.webpage.serving import LIST, Later

BROUGHT = Path(__file__).resolve().parents[1] / "page"


@contextmanager
def page(
    report: Callable[[str], None],
    clone: Path = CLONE,
    brought: Path = BROUGHT,
    weights_of: Callable[[str], Path] = shipped_weights,
) -> Iterator[tuple[Path, Later]]:
    """The folder of the page, for as long as it is served, and the files that are made when asked.

    Args:
        report: is told each stage of a build.
        clone: where the page is built, if there is one.
        brought: the page that an installed package may hold; it is unpacked into a folder that is
            deleted at the end.
        weights_of: where the weights of a network are, by its name; it may download them.

    Raises:
        InputError: when there is neither, or when building fails.
    """
    if (clone / "web" / "package.json").is_file():
        yield build(report, clone), {}
        return
    if not (brought / LIST).is_file():
        raise InputError(
            "page: expected a clone with its folder web, or a package that brings the page; this "
            "one was made where the page had not been built (`make page` before `python -m build`)"
        )
    with tempfile.TemporaryDirectory(prefix="deceive-page-") as folder:
        try:
            later = unpack(brought, Path(folder) / "page", weights_of)
        except (OSError, EOFError, ValueError, TypeError, LZMAError) as error:
            raise InputError(f"page: expected {brought} as it was installed; {error}") from error
        yield Path(folder) / "page", later
