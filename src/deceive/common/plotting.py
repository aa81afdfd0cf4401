"""Import Matplotlib despite a bad MPLBACKEND.

Figures are drawn with Agg, so no other backend is needed.
"""

import os
import sys
from contextlib import suppress


def import_matplotlib() -> None:
    """Import Matplotlib even if MPLBACKEND names an unknown backend.

    Jupyter kernels pass MPLBACKEND on to every process they start, and an unknown backend makes the
    import of Matplotlib, and so of torchmetrics, fail. A known one is kept.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
