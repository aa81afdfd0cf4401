"""A guard in front of anyone's classifier."""

import copy
import json
import re
import runpy
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

import deceive
from deceive.auditing.record.measured import Threshold
from deceive.certifying.settings import DetectorSettings
from deceive.certifying.training import train_detector
from deceive.common.errors import InputError, WriteError
from deceive.common.levels import from_levels, to_levels
from deceive.data.dataset import Dataset, Split
from deceive.guarding import GuardedModel, GuardSettings, load_guarded
from deceive.guarding.comparison import tables_of_both
from deceive.guarding.guards import place_of
from deceive.guarding.refused import load_refused, save_refused
from deceive.guarding.snippet import write_snippet
from deceive.networks.guarded import Guarded
from deceive.reporting.guard_pictures import refused_images
from worlds.audits import LITTLE
from worlds.commands import run
from worlds.guards import READER, Surer, write_guard
from worlds.quarters import quarters_data

SETTINGS = GuardSettings(keep=0.9)
guard = partial(deceive.guard, onnx=False)  # which has tests of its own


@pytest.fixture(scope="module")
def data() -> Dataset:
    return replace(quarters_data(), folder=Path("quarters"))


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(9))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory) -> Path:
    """With a guarded classifier in it, which a factory makes."""
    place = tmp_path_factory.mktemp("guarded")
    (place / "reader.py").write_text(READER)
    spec = f"{place / 'reader.py'}:make"
    guard(spec, data, out=place / "out", use=write_guard(place), settings=SETTINGS, auditing=None)
    return place / "out"


@pytest.fixture(scope="module")
def guarded(folder) -> GuardedModel:
    return load_guarded(folder)


def test_real_images_pass_with_their_classes(guarded, data):
    answers = guarded.answer(data.test.images)
    assert (answers.classes == data.test.labels).double().mean() >= 0.99
    assert 0.85 <= answers.passes.double().mean() <= 0.98
    assert torch.equal(answers.passes, answers.confidence >= guarded.threshold)


def test_garbage_does_not_pass(guarded, data, noise):
    alone = Surer(20.0)(noise).softmax(1).amax(1)
    assert (alone >= 0.6).double().mean() > 0.1  # its reader is sure of some of it
    answers = guarded.answer(noise)
    assert not answers.passes.any()
    assert (answers.none_of_these > 0.9).double().mean() > 0.9


def test_no_image_is_surer_than_the_guard_makes_it(guarded, noise):
    network = guarded.network
    ours, whole = network.guard(noise), guarded(noise)
    assert (whole[:, :4] - whole[:, 4:] <= ours[:, :4] - ours[:, 4:] + 1e-5).all()


def test_what_was_set_was_measured_on_validation_images(guarded, data):
    answers = guarded.answer(data.validation.images)
    kept = guarded.card.set
    assert kept.images == len(data.validation)
    one_image = 1.001 / len(data.validation)  # that is at the threshold, but for rounding
    passing = answers.passes.double().mean().item()
    assert kept.kept == pytest.approx(passing, abs=one_image)
    right = answers.classes == data.validation.labels
    assert kept.accuracy == pytest.approx(right.double().mean().item())
    accurate = right[answers.passes].double().mean().item()
    assert kept.passing_accuracy == pytest.approx(accurate, abs=one_image)


def test_the_script_beside_it_and_its_page_say_the_same(
    folder, guarded, data, noise, tmp_path, capsys, monkeypatch
):
    images = torch.cat([noise[:4], 0.7 * data.test.images[:4], data.test.images[:4]])
    images = from_levels(to_levels(images))
    save_refused(tmp_path, guarded, Split(images, data.test.labels[:12]), torch.rand(12, 4))
    refused = load_refused(tmp_path, guarded.card)
    shown = [words for _, words in refused_images(refused, list(guarded.class_names))]
    for n, levels in enumerate([*refused["levels"], to_levels(data.test.images[0]).numpy()]):
        Image.fromarray(levels[0]).save(tmp_path / f"{n}.png")
    write_snippet(folder)
    pictures = [str(tmp_path / f"{n}.png") for n in range(len(shown) + 1)]
    monkeypatch.setattr(sys, "argv", ["guarded.py", *pictures])
    runpy.run_path(str(folder / "guarded.py"), run_name="__main__")
    said = [line.partition(".png: ")[2] for line in capsys.readouterr().out.splitlines()]
    assert [each.partition("guarded: ")[2] for each in shown] == said[:-1]
    assert any(each.startswith("none of these (") for each in said)
    assert re.fullmatch(r"\d \([\d.]+%\)", said[-1])


def test_it_is_a_module_with_a_gradient_that_others_can_attack(guarded):
    result = deceive.fool(guarded, [0, 1], count=3, steps=20)
    assert result.levels.shape == (6, 1, 8, 8)
    assert copy.deepcopy(guarded)(torch.rand(2, 1, 8, 8)).shape == (2, 5)


def test_pictures_of_any_size_are_prepared(guarded, tmp_path, data):
    levels = (data.test.images[0, 0] * 255).round().byte().numpy()
    Image.fromarray(levels).resize((8, 8)).convert("RGB").save(tmp_path / "a.png")
    image = guarded.read(tmp_path / "a.png")
    assert image.shape == (1, 8, 8)
    torch.testing.assert_close(image, data.test.images[0], atol=0.003, rtol=0)
    assert guarded.answer(image[None]).classes.shape == (1,)
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(InputError, match=r"b\.png: expected a picture"):
        guarded.read(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"expected shape \(N, 1, 8, 8\), got \(1, 3, 9, 9\)"):
        guarded.answer(torch.rand(1, 3, 9, 9))


def test_pictures_may_be_arrays_of_numpy(guarded, data):
    image = data.test.images[0]
    for picture in (image.numpy(), image.double().numpy(), (image * 255).round().byte().numpy()):
        torch.testing.assert_close(guarded.prepare(picture), image, atol=0.003, rtol=0)
    for wrong, said in (
        (image[0].numpy(), r"a picture \(C, h, w\).*, got ndarray of float32 \(8, 8\)"),
        ([[0.0]], "got list"),
        ((image * 255).int().numpy(), "got ndarray of int32"),
        (image.numpy() * 255, r"values in \[0, 1\], got"),
    ):
        with pytest.raises(InputError, match=f"picture: .*{said}"):
            guarded.prepare(wrong)


def test_images_beyond_black_and_white_are_refused(guarded, data):
    some = data.test.images[:3]
    for wrong, said in ((some * 255, "got .* to 2[0-9][0-9]"), (some * 2 - 1, "got -0.9")):
        with pytest.raises(InputError, match=rf"expected values in \[0, 1\], {said}"):
            guarded.answer(wrong)
    with pytest.raises(InputError, match="got nan to nan"):
        guarded.answer(some * torch.nan)
    assert guarded.answer(some[:0]).passes.shape == (0,)


def test_it_is_found_from_any_folder(tmp_path, monkeypatch, data):
    """The classifier was named from the working directory; its file, or itself, is found later."""
    (tmp_path / "reader.py").write_text(READER)
    monkeypatch.chdir(tmp_path)
    use = write_guard(tmp_path)
    guard("reader.py:make", data, out="out", use=use, settings=SETTINGS, auditing=None, onnx=False)
    monkeypatch.chdir("/")
    assert isinstance(load_guarded(tmp_path / "out"), GuardedModel)
    (tmp_path / "reader.py").rename(tmp_path / "moved.py")
    with pytest.raises(InputError, match=r"or pass the classifier: load_guarded\(folder, model\)"):
        load_guarded(tmp_path / "out")
    assert isinstance(load_guarded(tmp_path / "out", Surer(20.0)), GuardedModel)


def test_a_model_that_ends_the_process_is_told(data, tmp_path):
    def leaving(images: torch.Tensor) -> torch.Tensor:
        raise SystemExit(0)

    with pytest.raises(InputError, match="SystemExit"):
        guard(leaving, data, out=tmp_path / "a", use=write_guard(tmp_path), auditing=None)


def test_another_classifier_is_not_taken_for_the_guarded_one(folder):
    with pytest.raises(InputError, match="got one that answers differently"):
        load_guarded(folder, Surer(3.0))


def test_a_black_box_only_multiplies(data, tmp_path):
    """Its answers count, and the gradient goes through the guard alone."""
    reader = Surer(20.0)

    def black_box(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return reader(images)

    use = write_guard(tmp_path)
    white = guard(reader, data, out=tmp_path / "a", use=use, settings=SETTINGS, auditing=None)
    black = guard(black_box, data, out=tmp_path / "b", use=use, settings=SETTINGS, auditing=None)
    assert (white.card.reader.white_box, black.card.reader.white_box) == (True, False)
    assert (white.card.reader.spec, black.card.reader.spec) == (None, None)
    networks = load_guarded(tmp_path / "a", reader), load_guarded(tmp_path / "b", black_box)
    images = data.test.images[:20].clone().requires_grad_()
    answers = [network(images) for network in networks]
    torch.testing.assert_close(answers[0], answers[1])
    (own,) = torch.autograd.grad(answers[1][:, 0].sum(), images)
    (guards,) = torch.autograd.grad(networks[1].network.guard(images)[:, 0].sum(), images)
    torch.testing.assert_close(own, guards)
    with pytest.raises(InputError, match="expected the classifier that was guarded, black_box"):
        load_guarded(tmp_path / "b")


def test_audits_before_and_behind_the_guard(data, tmp_path):
    report = guard(
        Surer(20.0),
        data,
        out=tmp_path / "out",
        use=write_guard(tmp_path),
        settings=SETTINGS,
        auditing=LITTLE.model_copy(update={"confidence": 0.6}),
        judge=None,
        budget=None,
    )
    assert report.complete
    assert report.before is not None
    assert report.after is not None
    assert report.before.settings == report.after.planned
    assert (report.before.model.rubbish_class, report.after.model.rubbish_class) == (None, 4)
    tables = tables_of_both(report.before, report.after)
    assert all(len(row) == len(table.columns) == 3 for table in tables for row in table.rows)
    worst = {row[0]: row[1:] for row in tables[1].rows}
    assert set(worst) >= {"from uniform noise", "from a search"}
    own: list[Threshold] = [each for each in report.after.thresholds if each.name == "own"]
    assert 0.8 <= own[0].reached <= 1


def test_the_same_call_goes_on_where_it_was(data, tmp_path):
    out, use = tmp_path / "out", write_guard(tmp_path)
    first = guard(Surer(20.0), data, out=out, use=use, settings=SETTINGS, auditing=None)
    written = (out / "weights" / "guard.safetensors").stat().st_mtime_ns
    again = guard(Surer(20.0), data, out=out, use=use, settings=SETTINGS, auditing=None)
    assert again.card == first.card
    assert (out / "weights" / "guard.safetensors").stat().st_mtime_ns == written
    with pytest.raises(InputError, match="same settings, got one that differs in keep"):
        guard(Surer(20.0), data, out=out, use=use, auditing=None)
    with pytest.raises(InputError, match="answers differently"):
        guard(Surer(3.0), data, out=out, use=use, settings=SETTINGS, auditing=None)


def test_a_guard_has_to_fit(data, tmp_path):
    use = write_guard(tmp_path, checksum="others")
    with pytest.raises(InputError, match="expected one that was trained on the images in quarters"):
        guard(Surer(20.0), data, out=tmp_path / "a", use=use, auditing=None)
    with pytest.raises(InputError, match="expected a network whose last output is for rubbish"):
        guard(Surer(20.0), data, out=tmp_path / "b", use="fast", auditing=None)
    with pytest.raises(InputError, match="for the 4 classes of the data, got 'resist', for 10"):
        guard(Surer(20.0), data, out=tmp_path / "c", use="resist", auditing=None)
    assert not any((tmp_path / name).exists() for name in "abc")


def test_a_guard_is_not_trained_on_a_handful_of_images(data, tmp_path):
    with pytest.raises(InputError, match=r"expected at least 500 training images .*, got 100"):
        guard(
            Surer(20.0), data.first(100), out=tmp_path / "a", guards=tmp_path / "b", auditing=None
        )
    assert not any(tmp_path.iterdir())


def test_a_classifier_that_guesses_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="expected a classifier that reads the data, got one that"):
        guard(Surer(-20.0), data, out=tmp_path / "a", use=write_guard(tmp_path), auditing=None)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("certified", [False, True])
def test_a_folder_for_guards_that_is_none_is_found_beforehand(certified, data, tmp_path):
    kept = tmp_path / "a file"
    kept.write_text("")
    use = write_guard(tmp_path) if certified else None
    settings = GuardSettings(certified=certified)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(WriteError, match="expected a writable path"):
        guard(
            Surer(20.0),
            data,
            out=tmp_path / "out",
            use=use,
            guards=kept,
            settings=settings,
            auditing=None,
        )
    assert sorted(tmp_path.iterdir()) == before


def test_damaged_folders_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"guarded\.json"):
        load_guarded(tmp_path)
    card = json.loads((folder / "guarded.json").read_text())
    (tmp_path / "guarded.json").write_text(json.dumps(card | {"image_shape": [1, 9, 9]}))
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "sample.npz").write_bytes(
        (folder / "arrays" / "sample.npz").read_bytes()
    )
    with pytest.raises(InputError, match="expected images of the card beside it, got others"):
        load_guarded(tmp_path)


def test_a_guard_is_trained_once_for_the_data(data, tmp_path, monkeypatch):
    """The second classifier finds it."""
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 500)
    settings = GuardSettings(rounds=2, keep=0.5)
    data = data.first(500)
    kept = tmp_path / "guards"
    first = guard(
        Surer(20.0), data, out=tmp_path / "a", settings=settings, guards=kept, auditing=None
    )
    trained = place_of(data, settings, kept)
    assert first.card.guard.source == str(trained)
    assert not list(kept.glob("*.checkpoint"))
    written = trained.stat().st_mtime_ns
    second = guard(
        Surer(30.0), data, out=tmp_path / "b", settings=settings, guards=kept, auditing=None
    )
    assert second.card.guard.source == first.card.guard.source
    assert trained.stat().st_mtime_ns == written
    assert isinstance(load_guarded(tmp_path / "a", Surer(20.0)).network.guard, Guarded)


def test_a_detector_beside_the_guard_bounds_what_passes(data, tmp_path, monkeypatch, noise):
    """However sure the guard and the classifier are: the odds are at most the detector's."""
    quick = partial(train_detector, settings=DetectorSettings(steps=30, garbage=500))
    monkeypatch.setattr("deceive.guarding.detectors.train_detector", quick)
    settings = GuardSettings(keep=0.9, certified=True)
    report = guard(
        Surer(20.0),
        data,
        out=tmp_path / "out",
        use=write_guard(tmp_path),
        guards=tmp_path / "guards",
        settings=settings,
        auditing=None,
    )
    assert report.card.guard.certified
    model = load_guarded(tmp_path / "out", Surer(20.0))
    detector = model.network.detector
    assert detector is not None
    images = torch.cat([noise, data.test.images])
    said, real = model(images), detector(images)
    odds = said[:, :4].logsumexp(1) - said[:, 4]
    assert (odds <= (real[:, 0] - real[:, 1]) + 1e-4).all()
    assert report.card.set.kept >= 0.9
    assert [each.name for each in (tmp_path / "guards").glob("*.safetensors")] == [
        "quarters-quarters-detector-seed-0.safetensors"
    ]


@pytest.mark.shipped
def test_the_command_with_the_shipped_guard(tmp_path, monkeypatch, capsys):
    """As a user runs it, on MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deceive.guarding.asking._IMAGES", 400)
    code, out, _ = run(capsys, "guard", "study", "--no-audits", "--out", "out", "--json")
    card = json.loads(out)
    assert code == 0
    assert card["guard"]["source"] == "resist"
    assert card["set"]["threshold"] == 0.99
    assert card["set"]["accuracy"] >= card["set"]["reader_accuracy"] - 0.001
    assert card["set"]["kept"] >= 0.95
    guarded = load_guarded("out")
    static = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert not guarded.answer(static).passes.any()
    assert (tmp_path / "out" / "guarded.py").is_file()
    assert (tmp_path / "out" / "guarded.onnx").is_file()
