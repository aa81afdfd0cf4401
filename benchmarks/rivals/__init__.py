"""Generative models to compare a classifier that draws with.

A VAE and a diffusion model, and the two published methods that are nearest to ours: Discriminator
Flow and JEM. All are conditional on the class, trained for a given time, and a little smaller than
the `draw` network (0.4 to 0.5 million parameters for 0.7). They share what makes training quick on
a processor: the data whole in memory, bfloat16 where the processor has it, channels last, and
pixels folded 2×2 into channels, so that no convolution works at full size.
"""

from benchmarks.rivals.diffusion import Diffusion
from benchmarks.rivals.flow import DiscriminatorFlow
from benchmarks.rivals.jem import Jem
from benchmarks.rivals.rival import Rival
from benchmarks.rivals.training import RIVALS, Training, build, train
from benchmarks.rivals.vae import Vae

__all__ = [
    "RIVALS",
    "Diffusion",
    "DiscriminatorFlow",
    "Jem",
    "Rival",
    "Training",
    "Vae",
    "build",
    "train",
]
