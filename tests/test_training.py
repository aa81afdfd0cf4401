import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from conftest import Recording, Restless, Viewing
from deceive.common.errors import InputError
from deceive.networks.classifier import Classifier
from deceive.networks.inference import accuracy, logits_of
from deceive.training.adversary import attacked
from deceive.training.augmenting import augment
from deceive.training.calibrating import calibrate
from deceive.training.fit import TrainingProgress, fit
from deceive.training.settings import TrainingSettings

STILL = {"rotation": 0, "scaling": 0, "translation": 0, "elasticity": 0}


def toy(n=400, seed=0):
    """Images 8×8 with a bright quarter, which is the label, in noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    images = torch.rand(n, 1, 8, 8, generator=generator) * 0.4
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 0.5
    return images, labels


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128, 4),
        )


def weights(model):
    return torch.cat([value.flatten().double() for value in model.state_dict().values()])


@pytest.mark.usefixtures("precision", "untouched_rng")
@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_it_learns(schedule):
    model = network()
    settings = TrainingSettings(epochs=6, batch_size=20, translation=1, schedule=schedule)
    seconds = fit(model, *toy(), settings)
    assert accuracy(model, *toy(seed=1)) > 0.95
    assert 0 < seconds < 60
    assert not any(module.training for module in model.modules())
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.usefixtures("precision")
def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    settings = TrainingSettings(epochs=2, batch_size=50)
    models = [network() for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        torch.rand(seed)  # whatever the global generator was at
        fit(model, *toy(200), settings, seed=seed)
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert not torch.equal(weights(models[0]), weights(models[2]))


@pytest.mark.usefixtures("untouched_rng")
def test_the_global_generator_and_the_data_are_left_alone():
    images, labels = toy(100)
    before = images.clone(), labels.clone()
    fit(network(), images, labels, TrainingSettings(epochs=1, batch_size=50), seed=9)
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])


def test_the_global_generator_is_left_alone_when_interrupted():
    def interrupt(progress):
        raise KeyboardInterrupt

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        fit(network(), *toy(100), TrainingSettings(batch_size=50), callback=interrupt)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("epochs", "steps"), [(1, 4), (3, 12), (0.5, 2), (1.25, 5), (0.2, 1)])
def test_the_callback_is_told_every_step(epochs, steps):
    seen: list[TrainingProgress] = []
    settings = TrainingSettings(epochs=epochs, batch_size=25)
    fit(network(), *toy(110), settings, callback=seen.append)
    assert [progress.step for progress in seen] == list(range(1, steps + 1))
    assert {progress.steps for progress in seen} == {steps}
    assert [progress.epoch for progress in seen] == [step / 4 for step in range(1, steps + 1)]
    assert all(math.isfinite(progress.loss) and progress.loss > 0 for progress in seen)


def test_every_image_comes_once_in_an_epoch_in_another_order():
    images = torch.arange(24).float().div(24).reshape(24, 1, 1, 1).expand(-1, 1, 4, 4)
    model = Recording()
    settings = TrainingSettings(epochs=2, batch_size=6, **STILL)
    fit(model, images, torch.zeros(24, dtype=torch.int64), settings)
    first, second = (torch.cat(model.seen[at : at + 4])[:, 0, 0, 0] for at in (0, 4))
    assert torch.equal(first.sort().values, images[:, 0, 0, 0])
    assert torch.equal(second.sort().values, images[:, 0, 0, 0])
    assert not torch.equal(first, second)


def test_still_images_are_never_augmented_and_the_others_are():
    images = torch.rand(40, 1, 4, 4)
    still = torch.arange(40) % 2 == 0
    model = Recording()
    settings = TrainingSettings(epochs=3, batch_size=10)
    fit(model, images, torch.zeros(40, dtype=torch.int64), settings, still=still)
    shown = {tuple(image.flatten().tolist()) for image in torch.cat(model.seen)}
    unchanged = [tuple(image.flatten().tolist()) in shown for image in images]
    assert unchanged == still.tolist()
    batches = torch.cat(model.seen)
    assert len(batches) == 120
    kept = {tuple(image.flatten().tolist()) for image in images[still]}
    assert sum(tuple(image.flatten().tolist()) in kept for image in batches) == 60


def test_training_mode_is_on_meanwhile_and_off_afterwards():
    model = network().eval()
    modes = []
    model.register_forward_pre_hook(lambda module, given: modes.append(module[1].training))
    fit(model, *toy(100), TrainingSettings(epochs=1, batch_size=50))
    assert modes == [True, True]
    assert not any(module.training for module in model.modules())


def test_frozen_parameters_stay():
    model = Restless()
    before = model.bands.weight.clone()
    images, labels = torch.rand(20, 1, 4, 4), torch.randint(4, (20,))
    fit(model, images, labels, TrainingSettings(batch_size=10, **STILL))
    assert torch.equal(model.bands.weight, before)


def test_a_users_own_module_that_uses_view():
    images, labels = torch.rand(20, 2, 6, 6), torch.randint(3, (20,))
    model = Viewing()
    fit(model, images, labels, TrainingSettings(epochs=1, batch_size=10))
    assert model(images).shape == (20, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_images_of_any_float_type_do(dtype):
    images, labels = toy(100)
    models, settings = [network(), network()], TrainingSettings(epochs=1, batch_size=50)
    images = images.to(dtype)
    fit(models[0], images, labels, settings)
    fit(models[1], images.float(), labels, settings)
    assert torch.equal(weights(models[0]), weights(models[1]))


def test_a_network_in_double_precision_stays_in_it():
    model = network().double()
    settings = TrainingSettings(epochs=6, batch_size=20, translation=1, adversarial_radius=0.01)
    fit(model, *toy(), settings)
    assert accuracy(model, *toy(seed=1)) > 0.95
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(value):
    images, labels = toy(100)
    with pytest.raises(InputError, match=r"training: expected a finite loss, got .* at step 0;"):
        fit(network(), images * value, labels, TrainingSettings(batch_size=50, **STILL))


@pytest.mark.parametrize(("n_images", "n_labels"), [(100, 99), (99, 100), (49, 49), (0, 0)])
def test_images_and_labels_that_do_not_fit(n_images, n_labels):
    message = (
        f"images: expected at least a batch of 50, and as many labels; "
        f"got {n_images} images and {n_labels} labels"
    )
    images, labels = toy(100)
    with pytest.raises(InputError, match=message):
        fit(network(), images[:n_images], labels[:n_labels], TrainingSettings(batch_size=50))


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": math.nan},
        {"epochs": math.inf},
        {"batch_size": 1},
        {"batch_size": 2.5},
        {"learning_rate": 0},
        {"learning_rate": math.inf},
        {"weight_decay": -0.1},
        {"label_smoothing": 1},
        {"rotation": -1},
        {"scaling": 1},
        {"translation": -1},
        {"elasticity": -1},
        {"adversarial_radius": 1.1},
        {"adversarial_steps": 0},
        {"schedule": "cosine"},
        {"colour": 1},
        {"epochs": 1e300},
        {"learning_rate": 1e300},
        {"weight_decay": 1e300},
        {"elasticity": 1e300},
        {"rotation": 361},
    ],
)
def test_bad_settings_are_a_value_error(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainingSettings(**settings)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"still": torch.zeros(2).bool()}, "still: expected 40, one for each of the images, got 2"),
        ({"still": torch.zeros(41).bool()}, "still: expected 40, one for each .* got 41"),
        ({"network": network().to("meta")}, "network: expected weights in memory, got some on the"),
        ({"network": nn.Identity()}, "network: expected parameters to train, got none"),
        ({"network": nn.Linear(8, 4).requires_grad_(False)}, "network: expected parameters to tr"),
        (
            {"network": nn.Linear(9, 4)},
            "network: expected a model that takes images of shape",
        ),
        ({"network": nn.Linear(8, 4)}, r"network: expected logits \(20, K\) out, got Tensor of"),
        ({"labels": torch.arange(40) % 5}, "labels: expected classes 0 to 3 of .* 4, got 4"),
        ({"labels": torch.arange(40) % 4 - 1}, "labels: expected classes 0 to 3 of .* 4, got -1"),
    ],
)
def test_what_does_not_fit_the_images_or_the_network(changed, said):
    images, labels = toy(40)
    call = {"network": network(), "images": images, "labels": labels} | changed
    with pytest.raises(InputError, match=f"^{said}"):
        fit(**call, settings=TrainingSettings(epochs=1, batch_size=20))


@pytest.mark.parametrize("epochs", [1e-300, 0.1])
def test_less_than_a_batch(epochs):
    settings = TrainingSettings(epochs=epochs, batch_size=25)
    with pytest.raises(InputError, match=r"epochs: expected enough for a batch, more than 0.12, "):
        fit(network(), *toy(110), settings)


@pytest.mark.parametrize("greatest", [4, -1])
def test_no_calibration_by_classes_that_the_network_has_not(greatest):
    labels = torch.tensor([0, 1, 2, greatest])
    with pytest.raises(InputError, match=f"labels: expected classes 0 to 3 .* got {greatest}"):
        calibrate(Classifier("fast", 4), torch.rand(4, 1, 28, 28), labels)


def test_no_calibration_of_a_network_without_a_head():
    with pytest.raises(InputError, match="network: expected a Classifier, got Sequential"):
        calibrate(network(), *toy(4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_labels_of_any_whole_type_do(dtype):
    images, labels = toy(40)
    fit(network(), images, labels.to(dtype), TrainingSettings(epochs=1, batch_size=20))
    calibrate(Classifier("fast", 4), torch.rand(40, 1, 28, 28), labels.to(dtype))


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingSettings().epochs = 3


# Augmentation.


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def centres(images):
    """Where the light is, in pixels from the middle: (N, 2), x and y."""
    height, width = images.shape[2:]
    light = images.sum((1, 2, 3))
    x = (images.sum((1, 2)) * (torch.arange(width) - (width - 1) / 2)).sum(1) / light
    y = (images.sum((1, 3)) * (torch.arange(height) - (height - 1) / 2)).sum(1) / light
    return torch.stack([x, y], 1)


def blob(x, y, size=28):
    """A soft spot at (x, y) pixels from the middle, 500 times."""
    at = torch.arange(size) - (size - 1) / 2
    spot = torch.exp(-((at[None] - x) ** 2 + (at[:, None] - y) ** 2) / 4)
    return spot.expand(500, 1, size, size)


def test_nothing_asked_nothing_done():
    images = torch.rand(5, 1, 8, 8)
    assert torch.equal(augment(images, TrainingSettings(**STILL), generator()), images)


@given(
    rotation=st.floats(0, 180),
    scaling=st.floats(0, 0.9),
    translation=st.floats(0, 8),
    elasticity=st.floats(0, 5),
    seed=st.integers(0, 2**32),
)
def test_images_stay_in_their_range_and_shape(rotation, scaling, translation, elasticity, seed):
    settings = TrainingSettings(
        rotation=rotation, scaling=scaling, translation=translation, elasticity=elasticity
    )
    images = torch.rand(6, 3, 9, 7, generator=generator(seed)).round()
    before = images.clone()
    out = augment(images, settings, generator(seed))
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.min() >= 0
    assert out.max() <= 1 + 1e-6
    assert torch.equal(images, before)
    assert torch.equal(out, augment(images, settings, generator(seed)))


def test_each_image_moves_by_an_amount_of_its_own():
    out = augment(blob(0, 0), TrainingSettings(), generator())
    assert len(out.flatten(1).unique(dim=0)) == 500


def test_shifts_are_in_pixels():
    settings = TrainingSettings(**{**STILL, "translation": 2})
    moved = centres(augment(blob(3, -2), settings, generator())) - torch.tensor([3, -2])
    assert moved.abs().max() < 2.02
    assert (moved.amax(0) > 1.8).all()
    assert (moved.amin(0) < -1.8).all()
    assert moved.mean(0).abs().max() < 0.2


def test_turns_are_in_degrees():
    settings = TrainingSettings(**{**STILL, "rotation": 20})
    x, y = centres(augment(blob(6, 0), settings, generator())).unbind(1)
    assert torch.hypot(x, y).sub(6).abs().max() < 0.1
    angles = torch.atan2(y, x).rad2deg()
    assert 19 < angles.max() < 20.5
    assert -20.5 < angles.min() < -19


def test_stretches_are_a_share():
    settings = TrainingSettings(**{**STILL, "scaling": 0.2})
    x, y = centres(augment(blob(6, 0), settings, generator())).unbind(1)
    # The image is read at x × 0.8 to 1.2, so the spot lands at x / 1.2 to x / 0.8.
    assert 6 / 1.25 < x.min() < 6 / 1.15
    assert 6 / 0.85 < x.max() < 6 / 0.75
    assert y.abs().max() < 0.1


def test_elastic_shifts_are_in_pixels_and_not_the_same_everywhere():
    settings = TrainingSettings(**{**STILL, "elasticity": 0.5})
    corner = centres(augment(blob(-13, -13), settings, generator())) + 13
    near = centres(augment(blob(-7, -7), settings, generator())) + 7
    far = centres(augment(blob(7, 7), settings, generator())) - 7
    for moved in (near, far):
        assert moved.mean(0).abs().max() < 0.1
        assert 0.3 < moved.std(0).min() < moved.std(0).max() < 0.6
    both = torch.corrcoef(torch.stack([near[:, 0], far[:, 0], near[:, 1]]))
    assert both[0, 1].abs() < 0.2
    assert both[0, 2].abs() < 0.2
    assert corner.isfinite().all()


# Calibration.


def classifier(gain=1.0):
    """An untrained network whose logits are multiplied by `gain`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Classifier("fast", 4, (1, 8, 8)).eval()
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(gain)
    return network


def labels_drawn_from(network, images):
    """Labels for which the network is exactly as sure as it is right."""
    generator = torch.Generator().manual_seed(1)
    return torch.multinomial(logits_of(network, images).softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
def test_calibration_finds_the_temperature_that_the_labels_were_drawn_at(temperature):
    images = torch.rand(20_000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    honest, shifted = classifier(6), classifier(6 * temperature)
    labels = labels_drawn_from(honest, images)
    before = logits_of(shifted, images)
    found = calibrate(shifted, images, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    torch.testing.assert_close(logits_of(shifted, images), before / found)
    torch.testing.assert_close(calibrate(shifted, images, labels), 1.0, rtol=0, atol=1e-5)


def test_calibration_stays_within_its_bounds():
    images = torch.rand(200, 1, 8, 8)
    right = classifier()
    labels = logits_of(right, images).argmax(1)
    assert calibrate(right, images, labels) == pytest.approx(0.1)
    wrong = classifier(8)
    labels = logits_of(wrong, images).argmin(1)
    assert calibrate(wrong, images, labels) == pytest.approx(10)


# Adversarial training.


def cross_entropy(model):
    return lambda x, y: torch.nn.functional.cross_entropy(model(x), y)


def hardened(radius, steps=5, norm="pixel"):
    return TrainingSettings(
        adversarial_radius=radius, adversarial_steps=steps, adversarial_norm=norm
    )


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("radius", [0.05, 0.3, 1])
def test_an_adversary_stays_within_its_radius_and_raises_the_loss(radius, steps):
    model, (images, labels) = network().eval(), toy(100)
    before = images.clone()
    loss_of = cross_entropy(model)
    moved = attacked(images, labels, loss_of, hardened(radius, steps), generator())
    assert torch.equal(images, before)
    assert not moved.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert 0.9 * radius < (moved - images).abs().max() <= radius + 1e-6
    assert loss_of(moved, labels) > loss_of(images, labels)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("radius", [0.2, 1, 3])
def test_an_adversary_of_images_stays_within_a_distance(radius, steps):
    model, (images, labels) = network().eval(), toy(100)
    loss_of = cross_entropy(model)
    moved = attacked(images, labels, loss_of, hardened(radius, steps, "image"), generator())
    assert moved.min() >= 0
    assert moved.max() <= 1
    away = (moved - images).flatten(1).norm(dim=1)
    assert 0.5 * radius < away.mean()
    assert away.max() <= radius + 1e-5
    assert loss_of(moved, labels) > loss_of(images, labels)


def test_an_adversary_of_a_linear_network_finds_the_worst_corner(bands):
    images, labels = torch.full((4, 1, 4, 4), 0.5), torch.arange(4)
    moved = attacked(images, labels, cross_entropy(bands), hardened(0.2), generator())
    worst = torch.cat([0.7 - 0.4 * bands.best(label) for label in range(4)])
    assert torch.allclose(moved, worst)


def test_a_network_that_met_an_adversary_withstands_it():
    images, labels = toy(seed=1)
    withstood = []
    for radius in (0, 0.2):
        model = network()
        settings = TrainingSettings(epochs=8, batch_size=20, adversarial_radius=radius, **STILL)
        fit(model, *toy(), settings)
        assert accuracy(model, images, labels) > 0.95
        moved = attacked(images, labels, cross_entropy(model), hardened(0.2, 20), generator())
        withstood.append(accuracy(model, moved, labels))
    assert withstood[0] < 0.5
    assert withstood[1] > 0.9


def test_no_images_are_augmented_to_none():
    images, _ = toy(10)
    assert augment(images[:0], TrainingSettings(), generator()).shape == (0, *images.shape[1:])


def test_the_same_seed_gives_the_same_weights_with_an_adversary():
    settings = TrainingSettings(epochs=1, batch_size=50, adversarial_radius=0.1)
    models = [network(), network()]
    for model in models:
        fit(model, *toy(200), settings, seed=3)
    assert torch.equal(weights(models[0]), weights(models[1]))
