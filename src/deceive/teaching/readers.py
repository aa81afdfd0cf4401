"""The readers of a guarded network: in the rounds an easy one, and its own afterwards."""

from torch import nn

from deceive.common import processes
from deceive.data.dataset import Dataset
from deceive.networks.building import GUARDED
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.training.recipes import build, train

# The recipes that train a network's own readers, and the power to which each one's probabilities
# are raised. These are hard to deceive by changing a digit only a little. The easy one, which
# stands in for them during the rounds, lets through what the guard has to learn about.
_OWN, _EASY = {"sharp": 0.4, "robust": 0.6}, "reader"

# How often the readers are taken to be wrong: in the rounds often enough that the guard learns to
# tell digits apart too, afterwards rarely.
_DOUBT_IN_ROUNDS, _DOUBT = 0.02, 0.0005


class Readers:
    """The readers of a network from `building.GUARDED`, untrained until `train`."""

    def __init__(self, network: Guarded, data: Dataset, seed: int) -> None:
        self.name, self.data, self.seed = network.architecture, data, seed
        self.own = network.readers
        self.easy = nn.ModuleList([build(_EASY, data, seed=seed).eval()]).requires_grad_(False)

    def train(self) -> None:
        """Train all of them."""
        powers = {_EASY: 1.0} | _OWN
        for (recipe, power), reader in zip(powers.items(), [*self.easy, *self.own], strict=True):
            trained, _ = train(recipe, self.data, seed=self.seed)
            trained.temper(power)
            reader.load_state_dict(trained.state_dict())

    def behind(self, guard: Classifier) -> Guarded:
        """The guard with the easy reader. An image is asked about once: a third of the time."""
        return self._placed(Guarded(guard, self.easy, doubt=_DOUBT_IN_ROUNDS))

    def finished(self, guard: Classifier) -> Guarded:
        """The guard with the network's own readers."""
        shifts = GUARDED[self.name].shifts
        return self._placed(
            Guarded(guard, self.own, doubt=_DOUBT, shifts=shifts, architecture=self.name)
        )

    def _placed(self, network: Guarded) -> Guarded:
        return network.to(processes.here().device).eval()
