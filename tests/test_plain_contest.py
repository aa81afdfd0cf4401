"""The contest of one plain command against several networks: its rows, table and picture."""

import json

import numpy as np
import pytest
import torch
from benchmarks import pictures, table
from benchmarks.contests import plain
from PIL import Image

from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.storage.models import load_network


@pytest.fixture(scope="module")
def result():
    return next(plain.run(plain.QUICK))


@pytest.mark.shipped
def test_it_is_what_the_command_does(result):
    made = fool(load_network("fast"), range(10), count=2, seed=0)
    (row,) = result["rows"]
    assert (row["candidates"], row["fooled"]) == (20, int(made.fooled.sum()))
    assert row["median_steps"] == made.median_steps
    judge = load_network("judge")
    agreed = (judge(made.images).argmax(1) == made.targets).double().mean().item()
    assert row["judge_agreement"] == pytest.approx(agreed)
    # Static is far from digits, and as many real ones are not.
    assert row["frechet_distance"] > 2 * result["floor_frechet_distance"] > 0
    starts = begin("uniform", range(0, 20, 2), (1, 28, 28), 0)
    shown = torch.from_numpy(
        np.stack(pictures._unstripped(result["starts"], 10)).astype(np.float32)
    )
    assert (shown / 255 - starts[:, 0]).abs().max() < 1 / 255
    assert row["shown"]["targets"] == list(range(10))


@pytest.mark.shipped
def test_its_rows_make_the_table_and_the_picture(result, tmp_path):
    (tmp_path / "plain.json").write_text(json.dumps(result))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "`deceive fool --model NETWORK --target all --count 2`" in text
    assert "| `fast` | 20 | " in text
    with Image.open(tmp_path / "same-starts.png") as picture:
        assert picture.width > 1000


def test_an_image_that_does_not_fool_is_said_to(result, tmp_path):
    row = result["rows"][0]
    shown = row["shown"] | {"fooled": [False] * 10}
    figure = pictures.same_starts(result | {"rows": [row | {"shown": shown}]})
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said.count("not fooled") == 10
