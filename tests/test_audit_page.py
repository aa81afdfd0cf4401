"""The page of an audit: the pictures it begins with, and its tables."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import Bands
from deceive.auditing import Interface, audit
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.preprocessing import pictures_of
from deceive.reporting.audit import write_audit_page
from deceive.reporting.html import is_large, shown
from deceive.storage.runs import Run
from worlds.audits import LITTLE, band_data


class Negative(torch.nn.Module):
    """Turns black and white round."""

    def forward(self, images):
        return 1 - images


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("page")
    audit(Bands(sure=12), band_data(), judge=None, settings=LITTLE, out=folder)
    return write_audit_page(Run.open(folder)).read_text(encoding="utf-8")


def test_it_begins_with_real_images_as_the_model_reads_them(page):
    first, _, rest = page.partition("</ul>")
    assert "grey, 4×4, pixels from 0 to 1" in first
    assert re.findall(r"“(\d)”\nread as “(\d)”", first) == [(each, each) for each in "0123"]
    assert first.count("<img") == 4
    assert "An attacker who follows its gradient" in rest


def test_the_recommended_score_is_marked_in_the_table(page):
    (row,) = re.findall(r'<tr class="best">.*?</tr>', page, re.DOTALL)
    assert "above" in row or "below" in row
    table = page[page.index("What to do with it") : page.index("Images optimised to fool it")]
    assert table.index("optimised</th>") < table.index("uniform noise</th>")
    assert table.count('scope="row"') == 6  # this network has no features
    assert "Static, or the real thing?" in page


def test_every_cell_names_its_column(page):
    """A phone shows each row as a card."""
    cells = re.findall(r"<td[^>]*>", page)
    assert len(cells) > 50
    assert all(re.fullmatch('<td data-label="[^"]+">', cell) for cell in cells)


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (1280, "screen"), (718, "print")])
def test_no_table_is_wider_than_the_page(page, browser, width, media):
    shown = browser.new_page(viewport={"width": width, "height": 800})
    shown.emulate_media(media=media)
    shown.set_content(page)
    widths = (
        "all => all.map(each => each.parentElement.scrollWidth - each.parentElement.clientWidth)"
    )
    found = shown.locator("table").evaluate_all(widths)
    shown.close()
    assert found == [0] * 5


def test_settings_are_written_in_words(page):
    facts = page[page.index('<dl class="facts">') :]
    assert "<dt>gradient attacks</dt><dd>momentum</dd>" in facts
    assert "<dt>every search</dt><dd>no</dd>" in facts
    assert not re.search(r"<dd>[(\[']", facts)
    assert "made for …" not in page  # those images are for users with MNIST


def test_a_black_box_has_no_settings_of_gradients(tmp_path):
    box = Bands(sure=12)
    audit(lambda images: box(images), band_data(), judge=None, settings=LITTLE, out=tmp_path)
    page = write_audit_page(Run.open(tmp_path)).read_text(encoding="utf-8")
    assert "<dt>gradient attacks</dt>" not in page
    assert "<dt>momentum" not in page
    assert "MNIST" not in page


def test_the_page_of_a_shy_model_says_what_counts_as_sure(tmp_path, page):
    audit(Bands(sure=3), band_data(), judge=None, settings=LITTLE, out=tmp_path)
    shy = write_audit_page(Run.open(tmp_path)).read_text(encoding="utf-8")
    assert re.search(
        r"never got\s+that far, though [\d.]+%, its own threshold, counts as sure", shy
    )
    assert "counts as sure" not in page


def test_what_was_left_out_is_told_once_and_first(tmp_path):
    audit(Bands(sure=12), band_data(), judge=None, settings=LITTLE, out=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[0]["planned"]["reductions"] = ["It reads 20 of 80 test images.", "Steps: 5 instead of 9."]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = write_audit_page(Run.open(tmp_path)).read_text(encoding="utf-8")
    less = "it reads 20 of 80 test images; steps: 5 instead of 9. <code>--budget none</code>"
    assert page.count("instead of 9") == 1
    assert page.index(less) < page.index("What the model is shown")


def test_what_a_function_makes_of_images_can_be_shown():
    images = torch.rand(2, 3, 4, 6)
    loaded = Loaded("mine", "callable", lambda shown: shown)
    assert pictures_of(loaded, images) is None
    last = replace(loaded, preprocess=lambda shown: 5 * shown.permute(0, 2, 3, 1).numpy() - 7)
    low, high = images.aminmax()
    torch.testing.assert_close(pictures_of(last, images), (images - low) / (high - low))
    flat = replace(loaded, preprocess=lambda shown: shown.flatten(1))
    assert pictures_of(flat, images) is None


def test_the_page_shows_what_a_function_makes_of_images(tmp_path):
    negative = Interface(preprocess=lambda images: 1 - images)
    model = torch.nn.Sequential(Negative(), Bands(sure=12))
    audit(model, band_data(), judge=None, interface=negative, settings=LITTLE, out=tmp_path)
    page = write_audit_page(Run.open(tmp_path)).read_text(encoding="utf-8")
    first, _, rest = page.partition("What your own function makes of them")
    assert first.count("<img") == rest.partition("</ul>")[0].count("<img") == 4
    arrays = Run.open(tmp_path).load_arrays("real")
    assert np.abs(255.0 - arrays["levels"] - arrays["made"]).max() < 3


def test_large_images_are_shown_smaller_than_a_png():
    noise = np.random.default_rng(0).integers(0, 256, (3, 300, 200), np.uint8)
    kind, _, content = shown(noise).partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        assert image.size == (149, 224)
    assert is_large(noise.shape)
    assert shown(noise[:, :28, :28]).startswith("data:image/png;")
