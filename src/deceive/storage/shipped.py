"""The shipped networks: which there are, and where their weights lie or come from."""

import hashlib
import json
import shutil
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from deceive.common.errors import InputError
from deceive.common.files import read_json, replacing
from deceive.common.version import __version__

_PACKAGE = Path(__file__).resolve().parents[1]

# Other names of shipped networks, with the files that they mean.
_ALSO = {"draw": "rounds-030000"}

# Where the repository has the weights that the package leaves out: at its version, or newest.
MIRROR = "https://raw.githubusercontent.com/OWNER/deceive"
_AT = (f"v{__version__}", "main")


def shipped_folder() -> Path:
    """Where the shipped networks lie: inside the installed package, or in the clone.

    It holds all cards. An installed package has the weights of some; `shipped_weights` brings the
    others.
    """
    inside = _PACKAGE / "models"
    return inside if inside.is_dir() else _PACKAGE.parents[1] / "models"


def shipped_names(folder: Path | None = None) -> list[str]:
    """Names that `load_network` knows, or of the networks in a folder, in alphabetical order."""
    if folder is not None:
        return sorted(path.stem for path in folder.glob("[!.]*.safetensors"))
    files = {path.stem for path in shipped_folder().glob("[!.]*.json")}
    return sorted({*files, *(name for name, file in _ALSO.items() if file in files)})


def shipped_in_words() -> str:
    """The names for an error's sentence; of the many `rounds-…`, the stages of `draw`, the last.

    >>> shipped_in_words()
    'detector, draw, fast, judge, judge-in-noise, one, resist, study, …, rounds-030000'
    """
    names = shipped_names()
    stages = [name for name in names if name.startswith("rounds-")]
    others = [name for name in names if name not in stages]
    return ", ".join(others + (["…", stages[-1]] if stages else []))


def shipped_card(name: str) -> Path:
    """The card of a shipped network; it is always there."""
    return shipped_folder() / f"{_ALSO.get(name, name)}.json"


def shipped_weights(name: str) -> Path:
    """The weights of a shipped network, with its card beside them.

    An installed package has the networks that its commands begin with. The others come from a clone
    around the working directory, or from the one that the package was installed from. Else they are
    downloaded when they are first asked for. They have to have the SHA-256 in their cards.

    Args:
        name: one of `shipped_names()`.

    Raises:
        InputError: when they can't be downloaded, or are others than the card says.
    """
    card = shipped_card(name)
    own = card.with_suffix(".safetensors")
    if own.is_file():
        return own
    digest = str(read_json(card, "the card of a shipped network")["weights_sha256"])
    for clone in (Path(), _installed_from()):
        with suppress(OSError):  # such as a folder that may not be read
            found = clone / "models" / own.name
            if hashlib.sha256(found.read_bytes()).hexdigest() == digest:
                return found
    import pooch  # type: ignore[import-untyped]  # slow, and hardly ever needed

    folder = Path(pooch.os_cache("deceive")) / "networks" / digest[:12]
    if not (folder / own.name).is_file():
        _download(own.name, digest, folder)
    if not (folder / card.name).is_file():
        with replacing(folder / card.name) as temporary:
            shutil.copyfile(card, temporary)
    return folder / own.name


def _installed_from() -> Path:
    """The folder that pip installed the package from; the working directory if it was none."""
    said = json.loads(distribution("deceive").read_text("direct_url.json") or "{}")
    url = urlsplit(said.get("url", ""))
    return Path(url2pathname(url.path)) if url.scheme == "file" else Path()


def _download(file: str, digest: str, folder: Path) -> None:
    """Fetch a file of the repository's folder `models`; it appears in `folder` whole."""
    import pooch

    for version in _AT:
        url = f"{MIRROR}/{version}/models/{file}"
        try:
            pooch.retrieve(url, f"sha256:{digest}", file, folder, progressbar=True)
            return
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, of many lines
            why = type(error).__name__ if isinstance(error, OSError) else "another checksum"
            failed = error
            if (answer := getattr(error, "response", None)) is not None:
                answer.close()  # which pooch leaves open
    raise InputError(
        f"{url}: expected to download {file}, which the installed package leaves out, but failed "
        f"({why}); when offline, put {file} of the repository's folder models into {folder}"
    ) from failed
