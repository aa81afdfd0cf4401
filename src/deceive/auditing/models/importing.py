"""The user's own code: `package.module:name`, or `path/to/file.py:name`."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from deceive.auditing.models.missing import no_such_module, no_such_name, without_name
from deceive.common.errors import InputError
from deceive.common.raising import raised


@contextmanager
def importable(*places: Path) -> Iterator[None]:
    """Within the block, modules of the working directory, and of other folders, can be imported.

    Some models import what they need on their first call.
    """
    added = [str(place) for place in (Path.cwd(), *places)]
    sys.path[:0] = added
    try:
        yield
    finally:
        for place in added:
            with suppress(ValueError):  # a user's own code may have removed it
                sys.path.remove(place)


def is_importable(spec: str) -> bool:
    """Whether this names something to import.

    >>> is_importable("nets.mine:make"), is_importable("nets/mine.py:make"), is_importable("mine")
    (True, True, False)
    """
    module, _, name = spec.rpartition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    return name.isidentifier() and (dotted or module.endswith(".py"))


def imported(what: str, spec: str) -> Any:
    """What `module:name` or `path/to/file.py:name` names.

    Raises `InputError` that begins with `what`, for any error in that code, and for another spec.
    """
    if not is_importable(spec):
        code = Path(spec)
        if code.suffix == ".py" and code.is_file():
            raise without_name(what, code, spec)
        raise InputError(
            f"{what}: expected package.module:name or path/to/file.py:name, got {spec!r}"
        )
    module, _, name = spec.rpartition(":")
    with own_code(what, spec, module):
        found = _module(what, module)
        if not hasattr(found, name):
            raise no_such_name(what, spec, name, _own_names(found))
        return getattr(found, name)


@contextmanager
def own_code(what: str, spec: str, module: str) -> Iterator[None]:
    """Within the block, errors of a user's own code are `InputError`s.

    The code sees a command line of its own, which is its module's name.
    """
    arguments = sys.argv
    sys.argv = [module]
    try:
        with importable():
            yield
    except (KeyboardInterrupt, InputError):
        raise
    except BaseException as error:  # a script may end in sys.exit
        given = "a model" if what == "model" else "a function"
        raise InputError(
            f"{what}: expected {spec} to give {given}; it raised {raised(error)}"
        ) from error
    finally:
        sys.argv = arguments


def _own_names(module: ModuleType) -> list[str]:
    """What a module itself defines that can be called."""
    own = {name: getattr(each, "__module__", "") for name, each in vars(module).items()}
    return [
        name
        for name, home in own.items()
        if callable(getattr(module, name)) and home == module.__name__
    ]


def _module(what: str, module: str) -> ModuleType:
    if not module.endswith(".py"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # one that it imports
            raise no_such_module(what, module) from error
    path = Path(module).resolve()
    if not path.is_file():
        raise no_such_module(what, module)
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = made  # as classes in it look their module up
    with importable(path.parent):
        found.loader.exec_module(made)
    return made
