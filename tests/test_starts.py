import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from deceive.common.errors import InputError
from deceive.common.seeds import generator_for
from deceive.fooling.starts import STARTS, begin, with_square

SHAPES = [(1, 28, 28), (3, 32, 20), (1, 5, 7), (1, 1, 1)]


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_type_and_range(name, shape):
    images = begin(name, range(3), shape, seed=1)
    assert images.shape == (3, *shape)
    assert images.dtype == torch.float32
    assert images.device.type == "cpu"
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize("name", STARTS)
def test_no_images_at_all(name):
    assert begin(name, range(0), (1, 28, 28), seed=0).shape == (0, 1, 28, 28)


@pytest.mark.parametrize("name", STARTS)
@given(seed=st.integers(-(2**70), 2**70), cut=st.integers(0, 5))
def test_an_image_is_the_same_however_the_work_is_cut(name, seed, cut):
    whole = begin(name, range(6), (1, 8, 8), seed)
    parts = [begin(name, part, (1, 8, 8), seed) for part in (range(cut), range(cut, 6))]
    assert torch.equal(whole, torch.cat(parts))
    assert torch.equal(whole[5:], begin(name, range(5, 6), (1, 8, 8), seed))


@pytest.mark.parametrize("name", sorted(set(STARTS) - {"blank"}))
def test_images_and_seeds_differ(name):
    zero, one = (begin(name, range(4), (1, 8, 8), seed) for seed in (0, 1))
    rows = torch.cat([zero, one]).flatten(1)
    assert len(rows.unique(dim=0)) == 8


@given(st.integers(), st.integers(0, 10**9))
def test_generators_repeat_and_differ(seed, index):
    draws = [
        torch.rand(4, generator=generator_for(s, i)).tolist()
        for s, i in [(seed, index), (seed, index), (seed, index + 1), (seed + 1, index)]
    ]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]
    assert draws[0] != draws[3]
    assert draws[2] != draws[3]


def test_blank_is_black():
    assert not begin("blank", range(2), (1, 28, 28), 0).any()


def test_uniform_is_even():
    pixels = begin("uniform", range(20), (1, 28, 28), 0)
    assert pixels.mean().item() == pytest.approx(1 / 2, abs=0.02)
    assert pixels.var().item() == pytest.approx(1 / 12, abs=0.005)


def test_gaussian_is_about_grey():
    pixels = begin("gaussian", range(20), (1, 28, 28), 0)
    assert pixels.mean().item() == pytest.approx(0.5, abs=0.01)
    assert pixels.std().item() == pytest.approx(0.2, abs=0.01)


def test_neighbours_are_alike_in_clouds_and_not_in_static():
    def roughness(name):
        pixels = begin(name, range(20), (1, 28, 28), 0)
        return (pixels.diff(dim=3).square().mean() / (2 * pixels.var())).item()

    assert roughness("uniform") == pytest.approx(1, abs=0.05)
    assert roughness("smooth") < 0.2


def test_squares_are_black_and_white_and_the_first_of_them_large():
    for shape in ((1, 28, 28), (3, 32, 20)):
        images = begin("squares", range(200), shape, 0)
        assert set(images.unique().tolist()) == {0, 1}
        half = min(shape[1:]) // 2
        white = F.avg_pool2d(images, half // 2, stride=1).amax(dim=(2, 3)) == 1
        assert 0.5 < white.double().mean() < 0.95  # not all of it was covered by the next
        single = images.diff(dim=3).abs().sum((1, 2, 3))
        assert single.min() > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_squares_are_painted_one_by_one(shape):
    generator = generator_for(7, 3)
    image = torch.zeros(1, *shape)
    for spent in torch.linspace(0, 1, 30).tolist():
        side = max(1, round(min(shape[1:]) / 2 * (1 - spent) ** 2))
        image = with_square(image, side, torch.rand(2 + shape[0], generator=generator)[None])
    assert torch.equal(begin("squares", range(3, 4), shape, 7), image)


@pytest.mark.usefixtures("untouched_rng")
def test_the_global_generator_is_left_alone():
    for name in STARTS:
        begin(name, range(2), (1, 8, 8), 0)


def test_an_unknown_start():
    with pytest.raises(InputError, match=r"start: expected one of uniform, .* got 'plasma'"):
        begin("plasma", range(1), (1, 8, 8), 0)


@given(side=st.integers(1, 5), down=st.floats(0, 0.999), right=st.floats(0, 0.999))
def test_a_square_upon_an_image(side, down, right):
    images = torch.full((2, 3, 5, 8), 0.5)
    draw = torch.tensor([[down, right, 0.9, 0.1, 0.7], [right, down, 0.2, 0.8, 0.3]])
    put = with_square(images, side, draw)
    for image, (top, left, *colours) in zip(put, draw, strict=True):
        expected = torch.full((3, 5, 8), 0.5)
        first = int(top * (5 - side + 1)), int(left * (8 - side + 1))
        rows, columns = (slice(k, k + side) for k in first)
        expected[:, rows, columns] = torch.stack(colours).round()[:, None, None]
        assert torch.equal(image, expected)
    assert (images == 0.5).all()
    assert torch.equal(with_square(images, torch.tensor([side, 1]), draw)[0], put[0])
