"""Every reader: how to make a good input, damage it, and read it.

A reader may accept a damaged input, if its result is valid, or refuse it with an `InputError` (on
the command line: exit code 2 and a sentence). Anything else is a failure.
"""

import math
import random
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import deceive
from deceive.common.errors import InputError
from soak import mutations
from soak.mutations import Mutation, Random
from soak.world import KINDS, VALIDATION, Trail, beside, command, files_of, files_of_data

Files = dict[str, bytes]
"""An input: file contents by name in the case's folder."""


class Wrong(AssertionError):  # noqa: N818 - a finding, not an error
    """A reader's result, output or exit code is invalid."""


@dataclass(frozen=True)
class Reader:
    """One entry point of the package."""

    good: Callable[[Path], Files]
    """A good input, from the world's folder."""
    read: Callable[[Path, Random], None]
    """Read the input in the working folder; the generator is for everything else that varies."""
    damage: Callable[[Files, Random], Files]
    whole: Callable[[Files], list[Files]] = lambda good: [good]
    """Inputs that must be accepted: the first cases of every campaign."""
    slow: bool = False
    """Whether it takes a hundred times as long as others, because it also processes its input."""

    @property
    def patience(self) -> float:
        """Seconds after which a case counts as hung; working ones are interrupted long before."""
        return 60 if self.slow else 15

    @property
    def block(self) -> int:
        """Number of cases per worker."""
        return 20 if self.slow else 400

    def share(self, cases: int) -> int:
        """Its number of cases when a quick reader gets `cases`."""
        return cases // 20 if self.slow else cases


# Mutations by file suffix.
_KINDS: dict[str, Sequence[Mutation]] = {
    ".gz": mutations.GZIPPED_IDX,
    "-ubyte": mutations.IDX,
    ".json": mutations.JSON,
    ".jsonl": mutations.JSON_LINES,
    ".npz": mutations.NPZ,
    ".safetensors": mutations.SAFETENSORS,
}


def kinds_for(name: str) -> Sequence[Mutation]:
    """The mutations for a file of that name."""
    return next((kinds for end, kinds in _KINDS.items() if name.endswith(end)), mutations.BYTES)


def damage_files(files: Files, rng: Random) -> Files:
    """Damage one file, sometimes two; or drop one, or join it with another of its kind."""
    changed = dict(files)
    for _ in range(rng.choice((1, 1, 1, 1, 2))):
        name = rng.choice(sorted(files))
        others = [each for each in sorted(files) if Path(each).suffix == Path(name).suffix]
        chance = rng.random()
        if chance < 0.03:
            changed.pop(name, None)
        elif chance < 0.06:
            changed[name] = files[rng.choice(others)]
        elif chance < 0.1:
            splice = mutations.spliced(files[rng.choice(others)])
            changed[name] = splice(files[name], rng)
        else:
            changed[name] = mutations.mutate(files[name], rng, kinds_for(name))
    return changed


# Data, networks and ONNX.


def _read_data(folder: Path, rng: Random) -> None:
    data = deceive.load_data(folder, validation=VALIDATION)
    for split in (data.train, data.validation, data.test):
        images, labels = split.images, split.labels
        if len(images) != len(labels) or images.ndim != 4 or images.dtype != torch.float32:
            raise Wrong(f"images {tuple(images.shape)} with labels {tuple(labels.shape)}")
        if len(images) and not bool(((images >= 0) & (images <= 1)).all()):
            raise Wrong("pixels beyond 0 and 1")
        if len(labels) and not 0 <= labels.min() <= labels.max() < data.n_classes:
            raise Wrong("labels beyond the classes")


def _network_files(world: Path) -> Files:
    return {f"net.{end}": (world / f"net.{end}").read_bytes() for end in ("safetensors", "json")}


def _damage_network(files: Files, rng: Random) -> Files:
    """Damage weights or card; mostly the card then gets the checksum of the damaged weights."""
    import hashlib

    changed = damage_files(files, rng)
    if len(changed) == 2 and rng.random() < 0.8:
        old, new = (
            hashlib.sha256(each["net.safetensors"]).hexdigest() for each in (files, changed)
        )
        changed["net.json"] = changed["net.json"].replace(old.encode(), new.encode())
    return changed


def _read_network(folder: Path, rng: Random) -> None:
    network = deceive.load_network(folder / "net.safetensors")
    if math.prod(network.image_shape) > 10**6:
        raise Wrong(f"images of shape {network.image_shape}")
    with torch.no_grad():
        logits = network(torch.zeros(2, *network.image_shape))
    if logits.shape != (2, network.n_outputs):
        raise Wrong(f"logits {tuple(logits.shape)} of {network.n_outputs} outputs")


def _onnx_file(world: Path) -> Files:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {
        "k": rng.normal(size=(2, 1, 3, 3)),
        "w": rng.normal(size=(128, 4)),
        "b": np.zeros(4),
        "shape": np.array([-1, 128]),
    }
    nodes = [
        helper.make_node("Conv", ["images", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])],
        [
            numpy_helper.from_array(v.astype(np.int64 if k == "shape" else np.float32), k)
            for k, v in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return {"model.onnx": model.SerializeToString(deterministic=True)}


def _damage_onnx(files: Files, rng: Random) -> Files:
    """Damage bytes, or one part of the graph: a size, type, name, attribute or node."""
    if rng.random() < 0.5:
        return damage_files(files, rng)
    import onnx

    model = onnx.load_from_string(files["model.onnx"])
    graph, kind = model.graph, rng.randrange(7)
    number = max(-(2**63), min(2**63 - 1, rng.choice(mutations.INTEGERS)))
    word = rng.choice([each for each in mutations.STRINGS if each != "\ud800"])
    if kind == 0:
        tensor = rng.choice(graph.initializer)
        tensor.dims[rng.randrange(len(tensor.dims))] = number
    elif kind == 1:
        rng.choice(graph.initializer).data_type = rng.randrange(25)
    elif kind == 2:
        value = rng.choice([*graph.input, *graph.output]).type.tensor_type
        rng.choice(value.shape.dim).dim_value = number
        value.elem_type = rng.choice((1, 1, rng.randrange(25)))
    elif kind == 3:
        del graph.node[rng.randrange(len(graph.node))]
    elif kind == 4:
        node = rng.choice(graph.node)
        node.input[rng.randrange(len(node.input))] = word
    elif kind == 5:
        rng.choice(graph.node).op_type = rng.choice((word, "Identity", "Softmax", "Loop", "Neg"))
    else:
        tensor = rng.choice(graph.initializer)
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", rng.choice((word, "/etc/passwd", "../x", "x"))
        tensor.data_location = 1
        tensor.ClearField("raw_data")
    return {"model.onnx": model.SerializeToString()}


def _read_onnx(folder: Path, rng: Random) -> None:
    from deceive.auditing.models.formats import load_model
    from deceive.auditing.models.meeting import meet

    data = deceive.load_data("data", validation=VALIDATION)
    subject = meet(load_model(folder / "model.onnx"), data)
    if subject.n_outputs < data.n_classes:
        raise Wrong(f"{subject.n_outputs} outputs for {data.n_classes} classes")


# Commands and the files they read.


_SOFT = 1.0


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Interrupt work after a second of CPU time, as by Ctrl+C; yields whether it did."""
    came: list[bool] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, _SOFT)
    try:
        yield came
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _ask(arguments: list[str]) -> str:
    """Run the command line; returns its output, or raises `InputError` if it refused the input."""
    with interruptible() as interrupted:
        said = command(arguments)
    if interrupted and "KeyboardInterrupt" in said.err:  # Python reports it where it can't raise it
        return said.out
    if said.error is not None:
        raise said.error
    if said.code == 70 or "Traceback" in said.err:
        trail = Trail.of(said.err)
        raise Wrong(f"exit code {said.code}, {trail.kind}\n{trail.words}")
    if said.code == 2:
        if not said.err.strip():
            raise Wrong("exit code 2 without a word")
        raise InputError(said.err[-300:])
    if said.code not in (0, 1, 3, 130):
        raise Wrong(f"exit code {said.code}: {said.err[-300:]}")
    return said.out


def _folder_of(name: str) -> Callable[[Path], Files]:
    """The run folder of a kind of run, without pictures and page, which are never read."""

    def good(world: Path) -> Files:
        files = files_of(world / "whole" / name)
        return {f"out/{k}": v for k, v in files.items() if not k.endswith((".png", ".html"))}

    return good


def _read_run(name: str) -> Callable[[Path, Random], None]:
    """Report on a run folder, or resume it; most pictures are stubs."""

    def read(folder: Path, rng: Random) -> None:
        resumes = rng.random() < 0.5
        with drawing(really=rng.random() < 0.05):
            _ask(KINDS[name].arguments.split() if resumes else ["report", "out"])

    return read


class drawing:  # noqa: N801 - a context manager
    """Draw figures, or quickly write an empty picture for each."""

    def __init__(self, *, really: bool) -> None:
        self.patch = None if really else mock.patch("matplotlib.figure.Figure.savefig", _nothing)

    def __enter__(self) -> None:
        if self.patch:
            self.patch.start()

    def __exit__(self, *error: object) -> None:
        if self.patch:
            self.patch.stop()


def _nothing(figure: Any, file: Any, **options: Any) -> None:
    from PIL import Image

    Image.new("L", (4, 4)).save(file, "png")


def _settings_file(world: Path) -> Files:
    from deceive.teaching import PRESETS

    return {"settings.json": PRESETS["resist"].model_dump_json().encode()}


def _read_settings(folder: Path, rng: Random) -> None:
    from pydantic import ValidationError

    from deceive.teaching import PRESETS, changed

    try:
        settings = changed(PRESETS[rng.choice(sorted(PRESETS))], folder / "settings.json")
    except ValidationError as error:
        raise InputError(str(error)) from error  # commands report it in a sentence
    if settings.rounds < 1 or settings.steps < 1:
        raise Wrong(f"settings {settings}")


def _audit_file(world: Path) -> Files:
    return {"audit.json": (world / "whole" / "audit" / "audit.json").read_bytes()}


def _read_audit(folder: Path, rng: Random) -> None:
    from deceive.auditing.leaderboard import write_leaderboard

    write_leaderboard([folder / "audit.json"], folder / "table.md")
    content = (folder / "table.md").read_text()
    table = [line for line in content.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in table}
    if len(table) != 3 or len(columns) != 1:
        raise Wrong(f"a table of {len(table)} lines with {sorted(columns)} bars in each")


_COMMANDS = (
    *(kind.arguments.replace("--out out", "--out new") for kind in KINDS.values()),
    "info --json",
    "report out --json",
    "fool --target 5 --out five.png --model fast --start squares --confidence 0.9 --steps 5",
    "rounds --settings settings.json --data data --judge judge.safetensors --out new --fresh",
    "audit net.safetensors --data data --bounds -1 1 --max-gibberish-rate 0.1 --budget 1 --fresh",
    "audit net.safetensors --data data --mean 0.5 --std 0.5 --judge none --other-data data",
    "leaderboard out/audit.json out --out /dev/stdout --json",
    "export net.safetensors --gradient --objective margin --out new.onnx",
    "draw --model draws.safetensors --digit 3 --count 1 --attempts 2 --out drawn.npz --json",
)
"""Valid command lines; `out` is the run folder of an audit."""


def _command_files(world: Path) -> Files:
    """The files that the command lines need, besides the shared ones."""
    files = _folder_of("audit")(world) | _settings_file(world)
    for end in ("safetensors", "json"):
        drew = world / "whole" / "rounds-draw" / "weights" / f"round-000006.{end}"
        files[f"out/weights/{drew.name}"] = files[f"draws.{end}"] = drew.read_bytes()
    return files


def _line(words: Sequence[str]) -> Files:
    return {"command": "\0".join(words).encode("utf-8", "surrogatepass")}


def _is_quick(line: str) -> bool:
    """Whether a command is quick; training commands are tested by kills instead."""
    return (
        line.split()[0] in ("info", "report", "leaderboard", "draw") and "out/weights" not in line
    )


def _damage_words(files: Files, rng: Random) -> Files:
    """One of the command lines, with damaged words."""
    words = shlex.split(rng.choice(_COMMANDS))
    return files | _line(mutations.change_arguments(words, rng))


def _read_command(folder: Path, rng: Random) -> None:
    line = (folder / "command").read_bytes().decode("utf-8", "surrogatepass")
    words = line.split("\0")
    if words[:1] == ["page"]:  # serves until interrupted
        return
    with drawing(really=False):
        _ask(words)


# Arguments of the public functions, each an expression.

_NET = "deceive.load_network('net.safetensors')"
CALLS: dict[str, dict[str, str]] = {
    "deceive.fool": {
        "model": _NET,
        "targets": "range(4)",
        "confidence": "0.9",
        "count": "2",
        "start": "'uniform'",
        "steps": "5",
        "objective": "'log_odds'",
        "bounds": "(0.0, 1.0)",
        "seed": "0",
        "shape": "(1, 8, 8)",
        "trajectory": "False",
        "ascent": "deceive.Ascent()",
    },
    "deceive.climb": {
        "model": _NET,
        "images": "torch.zeros(4, 1, 8, 8)",
        "targets": "range(4)",
        "ascent": "deceive.Ascent()",
        "steps": "2",
        "begun": "torch.arange(4)",
        "seed": "0",
    },
    "deceive.draw": {
        "network": _NET,
        "targets": "[0, 1]",
        "count": "1",
        "seed": "0",
        "attempts": "1",
        "ascent": "deceive.Ascent(schedule={'steps': 3})",
    },
    "deceive.load_data": {"folder": "'data'", "validation": "60"},
    "deceive.load_network": {"name": "'net.safetensors'"},
    "deceive.accuracy": {
        "model": _NET,
        "images": "torch.zeros(3, 1, 8, 8)",
        "labels": "torch.arange(3)",
    },
    "deceive.agreement": {
        "judge": _NET,
        "images": "torch.zeros(3, 1, 8, 8)",
        "targets": "torch.arange(3)",
    },
    "deceive.Classifier": {
        "architecture": "'fast'",
        "n_outputs": "4",
        "image_shape": "(1, 8, 8)",
        "mean": "0.5",
        "std": "0.25",
    },
    "deceive.Guarded": {
        "guard": "deceive.Classifier('guard', 5, (1, 8, 8))",
        "readers": "[deceive.Classifier('reader', 4, (1, 8, 8))]",
        "doubt": "0.01",
        "shifts": "((0, 0), (1, -1))",
        "architecture": "'resist'",
    },
    "deceive.RubbishSet": {"levels": "torch.zeros(3, 1, 8, 8, dtype=torch.uint8)"},
    "deceive.RubbishSet.of_noise": {"count": "3", "shape": "(1, 8, 8)", "seed": "0"},
    "deceive.Ascent": {"rule": "'momentum'", "step_size": "0.01", "schedule": "None"},
    "deceive.Schedule": {"steps": "3", "least_noise": "0.1"},
    "deceive.EmergingSettings": {"rounds": "3", "candidates": "4", "shown": "(0, 1)"},
    "deceive.ResistingSettings": {"rounds": "3", "candidates": "4", "starts": "('uniform',)"},
    "deceive.RetrainingSettings": {"rounds": "3", "candidates": "4", "epochs": "1.5"},
    "deceive.TrainingSettings": {"epochs": "1.0", "batch_size": "25", "rotation": "8.0"},
    "deceive.AuditSettings": {"confidence": "0.9", "candidates": "3", "ways": "('sign',)"},
    "deceive.Scaling": {"bounds": "(-1, 1)", "mean": "(0.5,)", "std": "(0.25,)"},
    "deceive.Interface": {"scaling": "None", "output": "'logits'", "rubbish_class": "10"},
    "deceive.fit": {
        "network": _NET,
        "images": "torch.rand(50, 1, 8, 8)",
        "labels": "torch.arange(50) % 4",
        "settings": "deceive.TrainingSettings(epochs=1, batch_size=25)",
        "seed": "0",
        "still": "None",
    },
    "deceive.save_network": {
        "network": _NET,
        "path": "Path('kept.safetensors')",
        "card": "load_card('net.safetensors')",
    },
    "deceive.export_onnx": {
        "network": _NET,
        "path": "'x.onnx'",
        "objective": "'margin'",
        "gradient": "False",
    },
    "deceive.audit": {
        "model": "'net.safetensors'",
        "data": "deceive.load_data('data', validation=60)",
        "judge": "None",
        "settings": "deceive.AuditSettings(candidates=1, steps=1, curve_candidates=1, searched=1, "
        "queries=100, garbage_images=10)",
        "interface": "deceive.Interface(deceive.Scaling((-1, 1)))",
        "other_data": "None",
        "budget": "0.01",
        "trust": "False",
    },
}
"""Valid calls, with the source text of each argument."""

_SETTINGS = ("deceive.Ascent", "deceive.Schedule", "deceive.EmergingSettings",
             "deceive.ResistingSettings", "deceive.RetrainingSettings",
             "deceive.TrainingSettings", "deceive.AuditSettings")  # fmt: skip


def _call(name: str, arguments: dict[str, str]) -> Files:
    told = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return {"call.py": f"{name}({told})".encode()}


def _damage_call(files: Files, rng: Random) -> Files:
    name = rng.choice(sorted(CALLS))
    return _call(name, mutations.change_call(CALLS[name], rng))


def _read_call(folder: Path, rng: Random) -> None:
    """Evaluate the call; settings may raise pydantic's own error."""
    from pydantic import ValidationError

    from deceive.storage.models import load_card

    source = (folder / "call.py").read_text()
    names = {"deceive": deceive, "torch": torch, "np": np, "Path": Path, "load_card": load_card}
    name = source.partition("(")[0]
    try:
        with interruptible():
            given = eval(source, names)
    except KeyboardInterrupt:
        return
    except ValidationError as error:
        if name in _SETTINGS or "Settings(" in source or "Ascent(" in source:
            raise InputError(str(error)) from error
        raise
    if isinstance(given, deceive.FoolingResult):
        _check_result(given)
    elif isinstance(given, float) and not 0 <= given <= 10**6:
        raise Wrong(f"{name} gave {given}")


def _check_result(result: Any) -> None:
    if not bool(result.confidence.isfinite().all()) or result.images.ndim != 4:
        raise Wrong(f"confidences {result.confidence}, images {tuple(result.images.shape)}")
    if len({len(each) for each in (result.levels, result.targets, result.steps)}) != 1:
        raise Wrong("a result whose parts differ in length")


def _plain(good: Callable[[Path], Files], read: Callable[[Path, Random], None]) -> Reader:
    return Reader(good, read, damage_files)


RUN_FOLDERS = ("study", "rounds-draw", "rounds-resist", "rounds-study", "audit")

READERS: dict[str, Reader] = {
    "idx": _plain(lambda world: files_of_data(), _read_data),
    "idx-gz": _plain(lambda world: files_of_data(gzipped=True), _read_data),
    "network": Reader(_network_files, _read_network, _damage_network),
    "onnx": Reader(_onnx_file, _read_onnx, _damage_onnx),
    "settings": _plain(_settings_file, _read_settings),
    "audit-json": _plain(_audit_file, _read_audit),
    "commands": Reader(
        _command_files,
        _read_command,
        _damage_words,
        lambda good: [good | _line(shlex.split(each)) for each in _COMMANDS if _is_quick(each)],
        slow=True,
    ),
    "calls": Reader(
        lambda world: {},
        _read_call,
        _damage_call,
        lambda good: [_call(name, arguments) for name, arguments in CALLS.items()],
    ),
    **{
        f"folder-{name}": Reader(_folder_of(name), _read_run(name), damage_files, slow=True)
        for name in RUN_FOLDERS
    },
}
"""By name."""


def damaged(name: str, number: int, seed: int, good: Files) -> Files:
    """The damaged input with this number; the first ones are undamaged."""
    whole = READERS[name].whole(good)
    if number < len(whole):
        return whole[number]
    return READERS[name].damage(good, random.Random(f"{seed}:{name}:{number}"))


def lay(files: Files, world: Path, folder: Path) -> None:
    """Write an input into a new folder, with links to the shared files."""
    beside(world, folder)
    for name, content in files.items():
        path = folder / name
        if path.is_symlink():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(name: str, folder: Path, number: int, seed: int) -> str:
    """Read the input in the working folder: `accepted` or `refused`; raises on failure."""
    try:
        READERS[name].read(folder, random.Random(f"{seed}:{name}:{number}:read"))
    except InputError as error:
        if number < len(READERS[name].whole({})):
            raise Wrong(f"a good input is refused: {error}") from error
        if not str(error).strip():
            raise Wrong("an InputError without a word") from error
        return "refused"
    return "accepted"


def needed(names: Sequence[str]) -> list[str]:
    """The kinds of runs that these readers need."""
    wanted = [name.removeprefix("folder-") for name in names if name.startswith("folder-")]
    wanted += ["audit"] * ("audit-json" in names)
    return wanted + ["audit", "rounds-draw"] * ("commands" in names)
