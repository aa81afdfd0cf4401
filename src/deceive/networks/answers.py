"""A model's answers to images, checked; any error it raises becomes one sentence."""

from torch import Tensor, nn

from deceive.common.errors import InputError
from deceive.common.raising import raised


def answer_of(name: str, model: nn.Module, images: Tensor, *told: Tensor) -> object:
    """The model's output for images (N, C, H, W), and other inputs per image.

    Raises `InputError`, which names the argument `name`, when the model fails.
    """
    try:
        return model(images, *told)
    except InputError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise failed(name, images, error) from error


def failed(name: str, images: Tensor, error: Exception) -> InputError:
    """The error for a model, by its argument's name, that raised `error` on these images."""
    return InputError(
        f"{name}: expected a model that takes images of shape {tuple(images.shape)}; "
        f"it raised {raised(error)}"
    )


def rows_of(output: object, count: int) -> Tensor:
    """An output in float32, checked to be a row of scores (count, K) per image, with K ≥ 2."""
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[1] < 2:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(f"model: expected logits of shape (N, K) with K ≥ 2, got {came}")
    if len(output) != count:
        raise InputError(f"model: expected logits for {count} images, got {len(output)} rows")
    return output.float()
