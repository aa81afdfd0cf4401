"""Processes that start at once: forks of one that has imported torch and the library."""

import multiprocessing
from multiprocessing.context import ForkServerContext

# Modules that are found without this process's path. Rounds import the compiler late.
_IMPORTED = ["hypothesis", "pytest", "accelerate", "torch._dynamo"]
_IMPORTED += ["deceive.cli.rounds", "deceive.teaching", "deceive.training.recipes"]


def forked() -> ForkServerContext:
    """Where such processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context
