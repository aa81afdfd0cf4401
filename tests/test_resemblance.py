"""Whether images look like real ones, by their pixels."""

import numpy as np
import pytest
import torch

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.verdict import verdict
from deceive.judging.resemblance import high_frequencies, nearest
from worlds.audits import LITTLE, Strict, band_data


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 9)])
def test_distances_and_frequencies_by_hand(shape):
    generator = torch.Generator().manual_seed(0)
    images, real = (torch.rand(n, *shape, generator=generator) for n in (4, 7))
    differ = (images[:, None] - real[None]).double().square().mean((2, 3, 4)).sqrt()
    torch.testing.assert_close(
        nearest(images, real.split(3)).double(), differ.amin(1), atol=1e-6, rtol=0
    )

    def share(image):
        found, whole = 0.0, 0.0
        for channel in image.double().numpy():
            energy = np.abs(np.fft.fft2(channel - channel.mean())) ** 2
            for v, down in enumerate(np.fft.fftfreq(shape[1])):
                for u, across in enumerate(np.fft.fftfreq(shape[2])):
                    whole += energy[v, u]
                    found += energy[v, u] * (np.hypot(down, across) > 0.25)
        return found / whole

    expected = torch.tensor([share(image) for image in images], dtype=torch.float32)
    torch.testing.assert_close(high_frequencies(images), expected, atol=1e-5, rtol=0)


def test_even_images_have_no_frequencies_and_noise_has_nearly_all():
    even = torch.full((2, 1, 28, 28), 77 / 255)
    assert high_frequencies(even).tolist() == [0, 0]
    noise = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert high_frequencies(noise).mean().item() == pytest.approx(1 - np.pi / 16, abs=0.02)


def test_an_audit_measures_what_fools_its_model():
    report = audit(Bands(sure=12), band_data(), judge=None, settings=LITTLE)
    found = report.resemblance
    assert found.images > 10
    assert found.compared_with == 80
    assert found.nearest > found.real_nearest > 0
    (said,) = (each for each in verdict(report) if each.startswith("By their pixels"))
    assert f"The nearest real image is {found.nearest:.2f} away" in said


def test_nothing_is_said_where_nothing_fools_it():
    report = audit(Strict(), band_data(), judge=None, settings=LITTLE)
    found = report.resemblance
    assert (found.images, found.nearest, found.high_frequencies, found.alike) == (0, *[None] * 3)
    assert found.real_nearest > 0
    assert not any(each.startswith("By their pixels") for each in verdict(report))
