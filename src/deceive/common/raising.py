"""Errors that a user's own code raises, in words: what happened, and where."""

import sysconfig
import traceback
from pathlib import Path

import deceive

_MOST = 300
"""Characters of a message that are shown."""

_FOREIGN = ("site-packages", "dist-packages")
"""Folders that packages are installed in."""


def raised(error: BaseException) -> str:
    """An error that a user's code raised: its type, its message, and the user's line.

    An `OSError` comes with the file it is about. The line is the last one of the traceback that is
    in the user's own code; without one, none is named.

    >>> raised(ValueError("no such layer"))
    'ValueError: no such layer'
    >>> raised(FileNotFoundError(2, "No such file or directory", "weights.pt"))
    'FileNotFoundError: No such file or directory: weights.pt'
    """
    said = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        said = f"{error.strerror}: {error.filename}"
    elif isinstance(error, SyntaxError):
        said = error.msg
    said = " ".join(said.split())
    short = said if len(said) <= _MOST else f"{said[:_MOST]}…"
    place = place_of(error)
    told = f"{type(error).__name__}: {short}" if short else type(error).__name__
    return f"{told} (in {place})" if place else told


def place_of(error: BaseException) -> str:
    """The last line of a user's own code in an error's traceback: `my.py, line 12`; else empty."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return _shown(error.filename, error.lineno)
    places = [
        _shown(frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_own(frame.f_code.co_filename)
    ]
    return places[-1] if places else ""


def _is_own(file: str) -> bool:
    """Whether code is the user's, and not Python's, an installed package's or ours."""
    if file.startswith("<"):  # what Python makes itself
        return False
    path = Path(file)
    return not any(each in path.parts for each in _FOREIGN) and not any(
        path.is_relative_to(folder) for folder in _others()
    )


def _others() -> list[Path]:
    """The folders of the standard library, and of this package."""
    standard = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")]
    return [*map(Path, standard), Path(deceive.__file__).parent]


def _shown(file: str, line: int) -> str:
    """File and line; the file from the working directory on, elsewhere its name alone."""
    path = Path(file)
    below = path.is_relative_to(Path.cwd())
    return f"{path.relative_to(Path.cwd()) if below else path.name}, line {line}"
