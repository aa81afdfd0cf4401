"""Classifiers of digits that others would bring: trained, and stored for `deceive guard`."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.original import ORIGINAL_BATCH, original_batches
from deceive.data.dataset import Split
from deceive.networks.classifier import Classifier

_EPOCHS = 3


def case_study(split: Split, seed: int, folder: Path) -> str:
    """The case study's own network, by its own recipe."""
    torch.manual_seed(seed)
    network = Classifier("study")
    original_batches(network, split, _EPOCHS * len(split.images) // ORIGINAL_BATCH, seed)
    save_file(network.state_dict(), folder / "study.safetensors")
    return _factory(folder, "case_study_again", folder / "study.safetensors")


def case_study_again(path: str) -> nn.Module:
    """It, with the weights in a file."""
    network = Classifier("study")
    network.load_state_dict(load_file(path))
    return network.eval()


def scikit_learn(split: Split, seed: int, folder: Path) -> str:
    """A multilayer perceptron of scikit-learn, as an ONNX file: a black box."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier((256,), max_iter=8, random_state=seed)
    network.fit(split.images.flatten(1).numpy(), split.labels.numpy())
    kinds = [("pixels", FloatTensorType([None, 784]))]
    proto = convert_sklearn(network, initial_types=kinds, options={"zipmap": False})
    path = folder / "mlp.onnx"
    path.write_bytes(proto.SerializeToString())
    return str(path)


def keras_cnn(split: Split, seed: int, folder: Path) -> str:
    """A convolutional network of Keras, as its own file."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    images = split.images.permute(0, 2, 3, 1).numpy()
    network.fit(images, split.labels.numpy(), batch_size=128, epochs=_EPOCHS, verbose=0)
    path = folder / "cnn.keras"
    network.save(path)
    return str(path)


def tiny(split: Split, seed: int, folder: Path) -> str:
    """A linear layer, for a quick look."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for batch in torch.randperm(len(split.images)).split(50):
        loss = nn.functional.cross_entropy(network(split.images[batch]), split.labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_file(network.state_dict(), folder / "tiny.safetensors")
    return _factory(folder, "tiny_again", folder / "tiny.safetensors")


def tiny_again(path: str) -> nn.Module:
    """It, with the weights in a file."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    network.load_state_dict(load_file(path))
    return network.eval()


def _factory(folder: Path, name: str, weights: Path) -> str:
    """Code that makes a network with these weights: path/to/file.py:factory."""
    code = folder / "reader.py"
    code.write_text(
        f"from {__name__} import {name}\n\n\ndef make():\n    return {name}({str(weights)!r})\n"
    )
    return f"{code}:make"


READERS: dict[str, Callable[[Split, int, Path], str]] = {
    "the case study's own network": case_study,
    "a perceptron of scikit-learn, ONNX": scikit_learn,
    "a CNN of Keras": keras_cnn,
}

ALL = READERS | {"tiny": tiny}


def made(name: str, split: Split, seed: int, folder: Path) -> str:
    """Train a classifier; returns where `deceive guard` finds it."""
    return ALL[name](split, seed, folder)
