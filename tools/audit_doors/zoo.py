"""Twelve kinds of model, trained briefly on the same pictures."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import joblib
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tools.audit_doors.pictures import Pictures
from torch import Tensor, nn

FACTORIES = '''"""Factories of models, as people write them."""

import joblib
import torch

from tools.audit_doors.zoo import Embedding, convolutional


def cnn():
    """A module that takes pixels in [0, 1]."""
    network = convolutional()
    network.load_state_dict(torch.load("cnn-weights.pt", weights_only=True))
    return network


def normalised():
    """A module for normalised pixels, which gives a dictionary."""
    network = Embedding()
    network.load_state_dict(torch.load("normalised-weights.pt", weights_only=True))
    return network


def half():
    """The module in half precision."""
    return cnn().to(torch.bfloat16)


def forest():
    """A random forest."""
    return joblib.load("forest.joblib")
'''

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Kind:
    """A kind of model."""

    spec: str
    """MODEL of the command, other flags included."""
    words: str
    make: Callable[[Path, Pictures], Callable[[NDArray[np.uint8]], NDArray[Any]]]
    """Writes the model into a folder; returns how it reads pictures (N, 32, 32, 3) by itself."""


def convolutional() -> nn.Sequential:
    """A small CNN, images (N, 3, 32, 32) in, logits (N, 10) out."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 64, 10),
    )


class Embedding(nn.Module):
    """A CNN for pixels normalised as ImageNet's are; it gives its features too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = convolutional()[:-1]
        self.head = nn.Linear(64 * 64, 10)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Features (N, 4096) and logits (N, 10)."""
        features = self.body(images)
        return {"features": features, "logits": self.head(features)}


def tensor_of(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures (N, H, W, 3) as images (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def normalised(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) normalised as ImageNet's are."""
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in IMAGENET)
    return (images - mean) / std


def fitted(
    network: nn.Module, logits: Callable[[Tensor], Tensor], pictures: Pictures, epochs: int = 4
) -> nn.Module:
    """The network, trained for a few epochs."""
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    images, labels = tensor_of(pictures.train), torch.from_numpy(pictures.train_labels)
    for _ in range(epochs):
        for which in torch.randperm(len(images)).split(50):
            loss = F.cross_entropy(logits(images[which]), labels[which])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def _cnn(place: Path, pictures: Pictures) -> Callable[..., Any]:
    torch.manual_seed(0)
    network = convolutional()
    weights = place / "cnn-weights.pt"
    if weights.exists():
        network.load_state_dict(torch.load(weights, weights_only=True))
    else:
        fitted(network, network, pictures)
        torch.save(network.state_dict(), weights)
    (place / "my_models.py").write_text(FACTORIES)
    return lambda images: network(tensor_of(images)).argmax(1).numpy()


def _normalised(place: Path, pictures: Pictures) -> Callable[..., Any]:
    torch.manual_seed(1)
    network = Embedding()

    def logits(images: Tensor) -> Tensor:
        return network(normalised(images))["logits"]

    fitted(network, logits, pictures)
    torch.save(network.state_dict(), place / "normalised-weights.pt")
    return lambda images: logits(tensor_of(images)).argmax(1).numpy()


def _cnn_module(place: Path) -> nn.Module:
    network = convolutional()
    network.load_state_dict(torch.load(place / "cnn-weights.pt", weights_only=True))
    return network.eval()


def _half(place: Path, pictures: Pictures) -> Callable[..., Any]:
    network = _cnn_module(place).to(torch.bfloat16)
    return lambda images: network(tensor_of(images).to(torch.bfloat16)).argmax(1).numpy()


def _script(place: Path, pictures: Pictures) -> Callable[..., Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(_cnn_module(place)).save(place / "cnn.pt")
    return _cnn(place, pictures)


def _exported(place: Path, pictures: Pictures) -> Callable[..., Any]:
    batch = {0: torch.export.Dim("N", min=1, max=10_000)}
    program = torch.export.export(
        _cnn_module(place), (torch.rand(2, 3, 32, 32),), dynamic_shapes=(batch,)
    )
    torch.export.save(program, place / "cnn.pt2")
    return _cnn(place, pictures)


def _onnx(place: Path, pictures: Pictures) -> Callable[..., Any]:
    batch = {0: torch.export.Dim("N", min=1, max=10_000)}
    torch.onnx.export(
        _cnn_module(place),
        (torch.rand(2, 3, 32, 32),),
        place / "cnn.onnx",
        dynamic_shapes=(batch,),
        verbose=False,
    )
    return _cnn(place, pictures)


def _int8(place: Path, pictures: Pictures) -> Callable[..., Any]:
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(place / "cnn.onnx", place / "cnn-int8.onnx", weight_type=QuantType.QUInt8)
    session = onnxruntime.InferenceSession(
        place / "cnn-int8.onnx", providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: tensor_of(images).numpy()})[0].argmax(1)


def _forest(place: Path, pictures: Pictures) -> Callable[..., Any]:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(50, max_depth=12, random_state=0)
    forest.fit(_flat(pictures.train), pictures.train_labels)
    joblib.dump(forest, place / "forest.joblib")
    return lambda images: forest.predict(_flat(images))


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return tensor_of(pictures).flatten(1).numpy()


def _pipeline(place: Path, pictures: Pictures) -> Callable[..., Any]:
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = np.array(pictures.names)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=30, C=0.001))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        pipeline.fit(_flat(pictures.train), names[pictures.train_labels])
    content = to_onnx(pipeline, _flat(pictures.train[:1])).SerializeToString()
    (place / "pipeline.onnx").write_bytes(content)
    return lambda images: np.searchsorted(names, pipeline.predict(_flat(images)))


def _keras(place: Path, pictures: Pictures) -> Callable[..., Any]:
    model = _keras_model(pictures)
    model.save(place / "cnn.keras")
    return lambda images: model.predict(images.astype(np.float32), verbose=0).argmax(1)


def _keras_onnx(place: Path, pictures: Pictures) -> Callable[..., Any]:
    import keras

    model = keras.saving.load_model(place / "cnn.keras")
    model.predict(pictures.test[:1].astype(np.float32), verbose=0)  # builds it for the export
    model.export(place / "keras.onnx", format="onnx", verbose=False)
    return lambda images: model.predict(images.astype(np.float32), verbose=0).argmax(1)


def _keras_model(pictures: Pictures) -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(len(pictures.names), activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    pixels = pictures.train.astype(np.float32)
    model.fit(pixels, pictures.train_labels, batch_size=50, epochs=4, verbose=0)
    return model


def _vit(place: Path, pictures: Pictures) -> Callable[..., Any]:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(2)
    names = dict(enumerate(pictures.names))
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 128, "image_size": 32, "patch_size": 8}
    labels = {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    network = ViTForImageClassification(ViTConfig(**sizes, **labels))
    centre = [0.5, 0.5, 0.5]

    def logits(images: Tensor) -> Tensor:
        scores: Tensor = network(images * 2 - 1).logits
        return scores

    fitted(network, logits, pictures)
    network.save_pretrained(place / "vit")
    size = {"height": 32, "width": 32}
    ViTImageProcessor(size=size, image_mean=centre, image_std=centre).save_pretrained(place / "vit")
    return lambda images: logits(tensor_of(images)).argmax(1).numpy()


ZOO = (
    Kind("my_models:cnn", "a PyTorch module, by its factory", _cnn),
    Kind(
        "my_models:normalised", "… for normalised pixels, with a dictionary of outputs", _normalised
    ),
    Kind("my_models:half", "… in bfloat16", _half),
    Kind("cnn.pt --trust", "TorchScript", _script),
    Kind("cnn.pt2 --trust", "`torch.export`", _exported),
    Kind("cnn.onnx", "ONNX, from PyTorch", _onnx),
    Kind("cnn-int8.onnx", "… with 8-bit weights", _int8),
    Kind("my_models:forest", "a random forest of scikit-learn, by its factory", _forest),
    Kind("pipeline.onnx", "a pipeline of scikit-learn with string labels, as ONNX", _pipeline),
    Kind("cnn.keras", "Keras", _keras),
    Kind("keras.onnx", "… as ONNX, channels last", _keras_onnx),
    Kind("hf:vit", "a vision transformer, saved by `transformers`", _vit),
)
"""In an order in which each finds what it needs."""
