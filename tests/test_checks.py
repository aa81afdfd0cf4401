import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deceive.common import checks
from deceive.common.errors import InputError


def test_an_input_error_is_a_value_error():
    assert issubclass(InputError, ValueError)


@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_open_interval_leaves_out_both_ends_and_nan(value, low, high):
    if low < value < high:
        checks.open_interval("x", value, low, high)
    else:
        within = "above .*" if high == math.inf else "above .* and below .*"
        with pytest.raises(InputError, match=f"^x: expected a number {within}, got "):
            checks.open_interval("x", value, low, high)


@pytest.mark.parametrize("value", [0, 1, -0.5, math.nan, math.inf])
def test_open_interval_says_what_came(value):
    with pytest.raises(InputError) as raised:
        checks.open_interval("confidence", value, 0, 1)
    assert str(raised.value) == f"confidence: expected a number above 0 and below 1, got {value!r}"


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.9)])
def test_closed_interval_takes_both_ends(value):
    checks.closed_interval("doubt", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_closed_interval_refuses_the_rest(value):
    with pytest.raises(InputError) as raised:
        checks.closed_interval("doubt", value, 0, 1)
    assert str(raised.value) == f"doubt: expected a number from 0 to 1, got {value!r}"


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.9)])
def test_half_open_interval_takes_its_lower_end(value):
    checks.half_open_interval("momentum", value, 0, 1)


@pytest.mark.parametrize("value", [-0.1, 1, math.nan, math.inf])
def test_half_open_interval_refuses_the_rest(value):
    with pytest.raises(InputError) as raised:
        checks.half_open_interval("momentum", value, 0, 1)
    expected = "expected a number of at least 0 and below 1"
    assert str(raised.value) == f"momentum: {expected}, got {value!r}"


@pytest.mark.parametrize("value", [3, 4, np.int64(3), np.uint8(200)])
def test_at_least_takes_whole_numbers(value):
    checks.at_least("count", value, 3)


@pytest.mark.parametrize("value", [2, -1, 3.0, 3.5, math.nan, True, "3", None])
def test_at_least_refuses_the_rest(value):
    with pytest.raises(InputError) as raised:
        checks.at_least("count", value, 3)
    assert str(raised.value) == f"count: expected a whole number of at least 3, got {value!r}"


def test_more_than_anything_could_do_is_refused():
    with pytest.raises(
        InputError, match=r"^steps: expected a whole number below 1,000,000,000, go"
    ):
        checks.at_least("steps", 10**30, 0, 10**9)


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 images"), (1, "1 image"), (2000, "2,000 images")]
)
def test_numbers_agree_with_their_nouns(number, said):
    assert checks.counted(number, "image") == said


@pytest.mark.parametrize("value", [0, 2**64 - 1, np.int64(5)])
def test_a_seed_is_what_torch_takes(value):
    checks.seed("seed", value)
    np.random.default_rng(value)
    torch.Generator().manual_seed(int(value))


@pytest.mark.parametrize("value", [-1, 2**64, 10**100, 1.0, True, None, "1"])
def test_another_seed_is_refused(value):
    with pytest.raises(InputError, match=r"^seed: expected a whole number from 0 to 18446744073"):
        checks.seed("seed", value)


def test_endless_values_are_refused_and_others_listed():
    assert checks.listed("targets", iter([3, 1]), (1, 28, 28)) == [3, 1]
    for endless in (itertools.count(), range(10**12), itertools.repeat(3)):
        with pytest.raises(
            InputError, match=r"^targets: expected at most [\d,]+ images, as many as"
        ):
            checks.listed("targets", endless, (1, 10_000, 10_000))


@pytest.mark.parametrize("choices", [["a", "b"], {"a": 1, "b": 2}])
def test_one_of_lists_the_choices(choices):
    checks.one_of("letter", "b", choices)
    with pytest.raises(InputError, match=r"^letter: expected one of a, b; got 'c'$"):
        checks.one_of("letter", "c", choices)
