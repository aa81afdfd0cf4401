"""Errors for a user's model or function that isn't found, with similar names."""

import ast
from collections.abc import Iterable
from pathlib import Path

from deceive.common.checks import few, meant
from deceive.common.errors import InputError
from deceive.storage.shipped import shipped_in_words, shipped_names
from deceive.storage.weights import got_folder, networks_in

_FILES = (".onnx", ".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".pt2", ".bin", ".ckpt")
"""Endings of files of models."""

_LISTED = 6
"""Names to list in a sentence."""


def no_model(spec: str, doors: Iterable[str]) -> InputError:
    """The error for a model that is neither a file nor a name of any kind.

    Args:
        spec: what the user gave.
        doors: what may stand before a colon.
    """
    path = Path(spec)
    code = path if path.suffix == ".py" else Path(f"{spec}.py")
    if path.is_dir():
        return _folder(path, spec)
    if code.is_file():
        return without_name("model", code, spec)
    if path.suffix.lower() in _FILES or "/" in spec or path.suffix == ".py":
        kind = "folder" if spec.endswith("/") else "file"
        return InputError(f"model: expected a {kind}, found nothing at {spec}{_beside(path)}")
    return InputError(
        f"model: expected a file, a shipped network ({shipped_in_words()}), "
        f"package.module:factory, or one of {', '.join(f'{each}:NAME' for each in doors)}, "
        f"got {spec!r}{meant(spec, shipped_names())}"
    )


def without_name(what: str, code: Path, spec: str) -> InputError:
    """The error for a Python file that is named without one of its functions."""
    wanted = "factory" if what == "model" else "function"
    names = callables_in(code, arguments=0 if what == "model" else 1)
    if not names:
        return InputError(
            f"{what}: expected {spec}:{wanted}, got {spec}, which defines no function or class"
        )
    return InputError(
        f"{what}: expected {spec}:{wanted}, got {spec}; it defines {few(names, _LISTED)}: "
        f"try {spec}:{names[0]}"
    )


def no_such_name(what: str, spec: str, name: str, names: Iterable[str]) -> InputError:
    """The error for a module that lacks what is named; `names` are those that it has."""
    listed = [each for each in names if not each.startswith("_")]
    near = meant(name, listed)
    module = spec.rpartition(":")[0]
    there = f"; it defines {few(listed, _LISTED)}" if listed and not near else ""
    return InputError(f"{what}: expected {name!r} in {module}, found none{near or there}")


def no_such_module(what: str, module: str) -> InputError:
    """The error for a module that is neither in the working directory nor installed."""
    if module.endswith(".py"):
        return InputError(
            f"{what}: expected a file, found nothing at {module}{_beside(Path(module))}"
        )
    near = meant(module, [each.stem for each in Path.cwd().glob("*.py")])
    return InputError(
        f"{what}: expected a module {module}, found none here ({module.replace('.', '/')}.py) or "
        f"among installed packages{near or '; for a file elsewhere name path/to/file.py:factory'}"
    )


def callables_in(code: Path, arguments: int) -> list[str]:
    """The public functions and classes of a file, without running it; the likeliest first.

    Those come first that are functions with as many arguments that have to be given.
    """
    try:
        tree = ast.parse(code.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [each for each in tree.body if isinstance(each, kinds) and each.name[0] != "_"]
    found.sort(key=lambda each: not _takes(each, arguments))
    return [each.name for each in found]


def _takes(node: ast.FunctionDef | ast.ClassDef, count: int) -> bool:
    if isinstance(node, ast.ClassDef):
        return False
    positional = (*node.args.posonlyargs, *node.args.args)
    return len(positional) - len(node.args.defaults) == count


def _folder(path: Path, spec: str) -> InputError:
    if (path / "config.json").is_file():
        return InputError(f"model: expected a file, got the folder {spec}; try hf:{spec}")
    files = networks_in(path) or sorted(
        each.name for each in path.iterdir() if each.suffix.lower() in _FILES
    )
    return got_folder(spec, files)


def _beside(path: Path) -> str:
    """Similar names in the same folder, or that the folder is missing too."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    near = meant(path.name, [each.name for each in path.parent.iterdir()])
    return near or f"; paths begin at the working directory, {Path.cwd().name}"
