import io
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.transforms import Bbox
from PIL import Image

from deceive.common.errors import InputError
from deceive.reporting.figures import (
    TITLES,
    Curve,
    Deceived,
    caption,
    curves,
    emergence,
    filmstrip,
    from_the_same_starts,
    gallery,
    png,
    save,
    study_captions,
    study_filmstrip,
    study_pictures,
)
from deceive.storage.runs import Run
from deceive.study import StudySettings
from worlds.records import noise, ten


def drawn(figure):
    """The picture as a person gets it: (H, W, 3) uint8."""
    return np.array(Image.open(io.BytesIO(png(figure))).convert("RGB"))


def times(image, scale):
    """An image (H, W) with each pixel so many times as wide and high."""
    return image.repeat(scale, 0).repeat(scale, 1)


def places(picture, image):
    """Upper left corners at which the picture shows the image, pixel for pixel."""
    height, width = image.shape
    grey = picture[:, :, 0]
    windows = np.lib.stride_tricks.sliding_window_view(grey[: len(grey) - height + 1], width, 1)
    rows, columns = (windows == image[0]).all(2).nonzero()
    return [
        (int(y), int(x))
        for y, x in zip(rows, columns, strict=True)
        if np.array_equal(grey[y : y + height, x : x + width], image)
    ]


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


# Captions.


@pytest.mark.parametrize(
    ("arguments", "accepted", "said"),
    [
        ((5, 0.9934), True, "“5” 99.3%"),
        ((5, 0.9899), True, "“5” 98.9%"),
        ((0, 1.0), True, "“0” 100.0%"),
        (("rubbish", 0.971), True, "rubbish 97.1%"),
        ((7, 0.0), False, "“7” only 0.0%"),
        ((7, 0.98999), False, "“7” only 98.9%"),
    ],
)
def test_captions(arguments, accepted, said):
    assert caption(*arguments, accepted=accepted) == said


@given(st.floats(0, 1))
def test_a_caption_never_says_more_than_there_is_nor_much_less(confidence):
    share = float(caption(3, confidence).split()[1].rstrip("%")) / 100
    assert share <= confidence + 1e-12
    assert share > confidence - 0.001 - 1e-12


def test_captions_of_candidates_say_who_did_not_get_there():
    assert study_captions(ten(fooled=2))[:3] == ["“0” 99.3%", "“1” 99.3%", "“2” only 45.6%"]


def test_captions_of_predictions_are_what_the_network_says():
    predicted = {
        "predicted": np.array([10, 3] + [10] * 8),
        "predicted_confidence": np.full(10, 0.75),
    }
    assert study_captions(ten() | predicted)[:3] == ["rubbish 75.0%", "“3” 75.0%", "rubbish 75.0%"]


# Galleries.


@pytest.mark.parametrize(
    ("count", "columns", "width", "height"),
    [(10, 5, 5, 2), (3, 5, 3, 1), (1, 5, 1, 1), (5, 2, 2, 3), (10, 10, 10, 1)],
)
def test_a_gallery_is_a_grid(count, columns, width, height):
    figure = gallery(
        noise(count, 1, 28, 28), [str(k) for k in range(count)], title="T", columns=columns
    )
    # A cell is 196 pixels of image, then a gap of 28 or a line of text.
    assert drawn(figure).shape == (80 + 262 * height, 28 + 224 * width, 3)
    assert words(figure) == ["T", *map(str, range(count))]


def test_a_gallery_shows_every_pixel_as_it_is():
    levels = noise(4, 1, 28, 28)
    picture = drawn(gallery(levels, list("abcd"), title="", columns=2))
    found = [places(picture, times(image, 7)) for (image,) in levels]
    assert found == [[(80, 28)], [(80, 252)], [(342, 28)], [(342, 252)]]


def test_images_of_any_size_and_colour():
    small = noise(1, 1, 10, 4)
    assert places(drawn(gallery(small, ["a"], title="")), times(small[0, 0], 19))
    large = noise(1, 1, 300, 200)
    assert places(drawn(gallery(large, ["a"], title="")), large[0, 0])
    colour = noise(1, 3, 14, 14)
    picture = drawn(gallery(colour, ["a"], title=""))
    ((y, x),) = places(picture, times(colour[0, 0], 14))
    tile = picture[y : y + 196 : 14, x : x + 196 : 14]
    assert np.array_equal(tile, np.moveaxis(colour[0], 0, -1))


def test_a_caption_for_every_image():
    with pytest.raises(ValueError, match="shorter"):
        gallery(noise(3, 1, 28, 28), ["a", "b"], title="")


# The filmstrip.


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (0, [0]),
        (1, [0, 1]),
        (5, [0, 1, 2, 3, 4, 5]),
        (10, [0, 1, 3, 4, 6, 7, 9, 10]),
        (700, [0, 100, 200, 300, 400, 500, 600, 700]),
    ],
)
def test_a_filmstrip_has_both_ends_and_no_frame_over_another(steps, shown):
    levels = noise(steps + 1, 1, 28, 28)
    figure = filmstrip(levels, np.linspace(0.1, 0.99, steps + 1), target=5, asked=0.99)
    assert words(figure) == [f"step {step}" for step in shown]
    picture = drawn(figure)
    assert picture.shape == (596, 1436, 3)
    found = [places(picture, times(levels[step, 0], 5)) for step in shown]
    assert all(len(corners) == 1 for corners in found)
    assert found == sorted(found)


def test_a_filmstrips_curve_is_the_confidence():
    confidence = np.array([0.1, 0.5, 0.2, 0.99])
    figure = filmstrip(noise(4, 1, 28, 28), confidence, target=5, asked=0.9)
    curve = figure.axes[1]
    asked, line, points = (one.get_ydata() for one in curve.lines)
    assert list(asked) == [0.9, 0.9]
    assert np.array_equal(line, confidence)
    assert np.array_equal(points, confidence)
    assert curve.get_ylabel() == "confidence in “5”"
    assert curve.get_ylim()[1] > 1


# Files.


def test_an_array_becomes_a_png_of_its_own_pixels():
    for levels in (noise(1, 28, 28), noise(3, 5, 9)):
        with Image.open(io.BytesIO(png(levels))) as image:
            back = np.array(image)
        assert np.array_equal(back, levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1))


def test_the_same_picture_is_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        save(gallery(noise(2, 1, 28, 28), ["a", "b"], title="T"), tmp_path / name)
        way = filmstrip(noise(3, 1, 28, 28), np.array([0, 0.5, 1]), target=1, asked=0.9)
        save(way, tmp_path / f"{name}-way")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one-way").read_bytes() == (tmp_path / "two-way").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_the_studys_pictures_are_those_whose_arrays_are_there(tmp_path):
    run = Run(tmp_path / "run", StudySettings(confidence=0.9).model_dump())
    assert study_pictures(run) == []
    assert not (run.folder / "images").exists()
    run.save_arrays("mnist_confidence", **ten())
    run.save_arrays("candidates-0", **ten())
    run.save_arrays(
        "filmstrip",
        levels=noise(4, 1, 28, 28),
        confidence=np.linspace(0, 1, 4),
        target=np.array(5),
    )
    paths = study_pictures(run)
    assert [path.name for path in paths] == ["mnist_confidence.png", "filmstrip.png"]
    expected = gallery(ten()["levels"], study_captions(ten()), title=TITLES["mnist_confidence"])
    assert paths[0].read_bytes() == png(expected)
    assert paths[1].read_bytes() == png(study_filmstrip(run))
    read = {"predicted": np.arange(10), "predicted_confidence": np.ones(10)}
    for name in TITLES:
        run.save_arrays(name, **ten(), **read)
    assert {path.stem for path in study_pictures(run)} == {*TITLES, "filmstrip"}
    assert {path.stem for path in (run.folder / "images").iterdir()} == {*TITLES, "filmstrip"}


def test_damaged_arrays_are_said(tmp_path):
    run = Run(tmp_path / "run", StudySettings(confidence=0.9).model_dump())
    run.save_arrays("mnist_confidence", **ten())
    path = run.folder / "arrays" / "mnist_confidence.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"mnist_confidence\.npz: expected arrays"):
        study_pictures(run)


def test_curves_are_drawn_for_each_unit():
    steps = [Curve("momentum", [1, 3, 10], [0.1, 0.5, 1.0]), Curve("sign", [1, 10], [0.2, 0.3])]
    figure = curves(
        {"steps": steps, "queries": [Curve("squares", [30, 100], [0.4, 0.6])]}, asked=0.9
    )
    left, right = figure.axes
    assert [axes.get_xlabel() for axes in (left, right)] == ["steps", "queries"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["momentum", "sign"]
    dashed, momentum, sign = left.lines
    assert list(dashed.get_ydata()) == [0.9, 0.9]
    assert list(momentum.get_xdata()) == [1, 3, 10]
    assert list(sign.get_ydata()) == [0.2, 0.3]
    assert [label.get_text() for label in left.get_xticklabels()] == ["1", "3", "10"]
    assert png(figure) == png(
        curves({"steps": steps, "queries": [Curve("squares", [30, 100], [0.4, 0.6])]}, asked=0.9)
    )


def test_from_the_same_starts_shows_every_image_in_the_column_of_its_start():
    starts, first, second = (noise(3, 1, 28, 28, seed=seed) for seed in range(3))
    networks = [
        Deceived("one", "to read", first, ["“0”", "“7”", "undecided"]),
        Deceived("other", "to draw", second, ["“0”", "“1”", "“2”"]),
    ]
    figure = from_the_same_starts(starts, [0, 1, 2], networks)
    picture = drawn(figure)
    found = [
        [place for image in levels for place in places(picture, times(image[0], 3))]
        for levels in (starts, first, second)
    ]
    columns = [[x for (_, x) in row] for row in found]
    assert columns[0] == columns[1] == columns[2] == sorted(set(columns[0]))
    rows = [sorted({y for (y, _) in row}) for row in found]
    assert [len(row) for row in rows] == [1, 1, 1]
    assert rows == sorted(rows)
    said = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert {"one", "to read", "other", "to draw", "“7”", "undecided"} <= said.keys()
    assert said["“7”"] == said["undecided"] != said["“2”"]


# Narrow pictures.


def cut_off(figure):
    """Lines of text that reach beyond the picture, and pairs that overlap."""
    texts = [text for axes in figure.axes for text in axes.texts]
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    width, height = figure.bbox.size
    beyond = [k for k, b in boxes.items() if b.x0 < 0 or b.x1 > width or b.y0 < 0 or b.y1 > height]
    return beyond + [
        pair for pair in combinations(boxes, 2) if Bbox.intersection(*map(boxes.get, pair))
    ]


@pytest.mark.parametrize("size", [(28, 28), (24, 5), (5, 24)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_no_words_of_a_narrow_picture_are_cut_off(count, size):
    captions = [caption(k, 0.4, accepted=False) for k in range(count)]
    levels = noise(count, 1, *size)
    for title in TITLES.values():
        assert cut_off(gallery(levels, captions, title=title)) == []
    later = {10**k: noise(3, 1, 1, *size) for k in range(2, 2 + count)}
    assert cut_off(emergence(later)) == []
    way = filmstrip(noise(5001, 1, *size), np.linspace(0, 1, 5001), target=5, asked=0.99)
    assert cut_off(way) == []
