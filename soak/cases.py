"""One case, as a worker runs it; and the imports to do before workers are forked."""

import json
import os
from pathlib import Path
from typing import Any

from soak import readers
from soak.world import Trail, small, working_in


def read(name: str, number: int, seed: int, case: Path) -> dict[str, Any]:
    """Read the input in a folder, and report the outcome as a worker does."""
    try:
        with working_in(case), small():
            return {"outcome": readers.read(name, case, number, seed)}
    except readers.Wrong as error:
        first = str(error).splitlines()[0]
        kind = (
            first.split(", ", 1)[1] if first.startswith("exit code 70, ") else f"wrong: {first:.60}"
        )
        return {"kind": kind, "said": str(error)[-4000:]}
    except (Exception, KeyboardInterrupt) as error:
        trail = Trail.of(error)
        return {"kind": trail.kind, "said": trail.words}


def tell(pipe: int, what: dict[str, Any]) -> None:
    """Write a line to the campaign atomically."""
    line = json.dumps(what).encode() + b"\n"
    while line:
        line = line[os.write(pipe, line) :]


def prepare() -> None:
    """Import everything once, with one thread, before forking."""
    import matplotlib.figure
    import onnx
    import onnxruntime
    import onnxscript
    import torch._dynamo
    import torch._inductor.codecache
    import torch.onnx._internal.exporter._core

    import deceive.auditing
    import deceive.auditing.leaderboard
    import deceive.cli
    import deceive.reporting.audit
    import deceive.reporting.rounds
    import deceive.reporting.study
    import deceive.storage.export
    import deceive.study
    import deceive.teaching  # noqa: F401

    torch.set_num_threads(1)
    del matplotlib, onnx, onnxruntime, onnxscript
