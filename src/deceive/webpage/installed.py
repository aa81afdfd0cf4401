"""The page of a clone, which is built there, or of an installed package, which brings it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deceive.common.errors import InputError
from deceive.storage.models import shipped_folder
from deceive.webpage.build import CLONE, build
from deceive.webpage.packing import unpack
from deceive.webpage.serving import LIST

BROUGHT = Path(__file__).resolve().parents[1] / "page"


@contextmanager
def page(
    report: Callable[[str], None], clone: Path = CLONE, brought: Path = BROUGHT
) -> Iterator[Path]:
    """The folder of the page, for as long as it is served.

    Args:
        report: is told each stage of a build.
        clone: where the page is built, if there is one.
        brought: the page that an installed package may hold; it is unpacked into a folder that is
            deleted at the end.

    Raises:
        InputError: when there is neither, or when building fails.
    """
    if (clone / "web" / "package.json").is_file():
        yield build(report, clone)
        return
    if not (brought / LIST).is_file():
        raise InputError(
            "page: expected a clone with its folder web, or a package that brings the page; this "
            "one was made where the page had not been built (`make page` before `python -m build`)"
        )
    with tempfile.TemporaryDirectory(prefix="deceive-page-") as folder:
        try:
            unpacked = unpack(brought, shipped_folder(), Path(folder) / "page")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"page: expected {brought} as it was installed; {error}") from error
        yield unpacked
