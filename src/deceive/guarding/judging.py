"""The judges of the audits before and behind a guard."""

from collections.abc import Sequence

from deceive.auditing.judge_training import trained_on
from deceive.auditing.judges import AUTO
from deceive.auditing.models.loaded import AnyModel
from deceive.common.progress import Task
from deceive.data.dataset import RealData
from deceive.data.source import MNIST
from deceive.storage.models import save_network
from deceive.storage.runs import Run, weights_in

# Seconds for a judge, where none is given and none is shipped for the data.
_JUDGE_SECONDS = 60.0

Judges = AnyModel | Sequence[AnyModel] | None
"""As for `audit`."""


def judges_for(judge: Judges, data: RealData, run: Run, seed: int, task: Task) -> Judges:
    """The judges, with one that is trained for `auto` where none are shipped for the data."""
    automatic = judge == AUTO or judge in ([AUTO], (AUTO,))
    if not automatic or data.checksum == MNIST.checksum or data.train is None:
        return judge
    path = weights_in(run.folder, "judge")
    if not path.is_file():
        with task("training a judge") as tick:
            network, card = trained_on(data, data.train, seed, _JUDGE_SECONDS, tick)
        save_network(network, path, card)
    return [str(path)]
