"""Two generative models to compare a classifier that draws with: a VAE and a diffusion model.

Both are conditional on the class, and trained for a given wall time; at 0.4 million parameters a
little smaller than the `draw` network (0.7), which in minutes is no handicap. They share what makes
training quick on a processor: the data whole in memory, bfloat16 where the processor has it,
channels last, and pixels folded 2×2 into channels, so that no convolution works at full size.
"""

from benchmarks.rivals.diffusion import Diffusion
from benchmarks.rivals.rival import Rival
from benchmarks.rivals.training import RIVALS, Training, build, train
from benchmarks.rivals.vae import Vae

__all__ = ["RIVALS", "Diffusion", "Rival", "Training", "Vae", "build", "train"]
