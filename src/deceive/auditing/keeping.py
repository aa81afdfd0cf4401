"""Store candidates, with what the judges see in them."""

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.record.measured import Curve
from deceive.auditing.record.rows import Attacked, Followed
from deceive.common.arrays import Arrays
from deceive.common.levels import from_levels
from deceive.common.progress import Tick


def keep_outcomes(
    context: Context, attacked: Attacked, targets: Tensor, arrays: Arrays, tick: Tick
) -> None:
    """Store what became of candidates at each threshold.

    Args:
        context: the audit's.
        attacked: what the candidates are of, and the name of their arrays.
        targets: (N,).
        arrays: `asked_levels` (N, C, H, W) uint8 and the like: see `stored.load_outcomes`.
        tick: called before every batch that a judge sees.
    """
    judged: Arrays = {}
    if context.judges:
        for threshold in context.thresholds:
            images = from_levels(torch.from_numpy(arrays[f"{threshold}_levels"]))
            judged[f"{threshold}_judged"] = context.judged(images, tick).numpy()
    context.run.save_arrays(attacked.arrays, targets=targets.numpy(), **arrays, **judged)


def keep_curve(
    context: Context,
    attacked: Attacked,
    targets: Tensor,
    arrays: Arrays,
    budgets: list[int],
    tick: Tick,
) -> Followed:
    """Store a curve's candidates, and average them after each budget.

    Args:
        context: the audit's.
        attacked: what the candidates are of, and the name of their arrays.
        targets: (N,).
        arrays: `levels` (B, N, C, H, W) uint8 and `confidence` (B, N), after each of B budgets.
        budgets: in steps, or in queries for a black box; ascending.
        tick: called before every batch that a judge sees.
    """
    agreement = None
    if context.judges:
        levels = torch.from_numpy(arrays["levels"])
        judged = context.judged(from_levels(levels).flatten(0, 1), tick).view(levels.shape[:2])
        arrays = arrays | {"judged": judged.numpy()}
        agreement = (judged == targets).double().mean(1).tolist()
    context.run.save_arrays(attacked.arrays, targets=targets.numpy(), **arrays)
    confidence = torch.from_numpy(arrays["confidence"]).double()
    curve = Curve(
        name=attacked.name,
        box=attacked.box,
        start=attacked.start,
        unit="steps" if attacked.box == "white" else "queries",
        budgets=budgets,
        mean_confidence=confidence.mean(1).tolist(),
        asked_share=(confidence >= context.settings.confidence).double().mean(1).tolist(),
        judge_agreement=agreement,
    )
    return Followed(curve=curve, arrays=attacked.arrays)
