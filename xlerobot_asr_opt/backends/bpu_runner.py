"""What runs the compiled models of a bundle: a board, or its arithmetic in a process of x86."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ['Runner', 'RunnerFile']

RunnerFile = Literal['binary', 'quantised']


class Runner(Protocol):
    """Runs compiled models, one call at a time.

    A runner that raised BackendError goes on with the next call. Loaded again, it holds what was
    named last; closing twice is allowed.

    Attributes:
        name: what Result.backend says, such as `bpu`.
        file: which of a bucket's files it runs: the .bin, or the vendor's quantised ONNX.
    """

    name: str
    file: RunnerFile

    def load(self, models: Mapping[str, Path]) -> None:
        """Open models; their hashes were compared before.

        Args:
            models: name of the model inside its file (Bucket.model) to the path of the file.

        Raises:
            ModelError: a file does not hold that model, or not for this BPU.
            BackendError: there is no board, or no environment of the vendor's tools.
        """

    def run(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]],
    ) -> dict[str, npt.NDArray[Any]]:
        """Run a model.

        Args:
            model: one of those loaded.
            inputs: name to an array of exactly the dtype and shape of the bundle's Tensor.

        Returns:
            Name of each output to an array, as the bundle's Tensor says, without padding; the
            caller's own.

        Raises:
            BackendError: it failed, hung, is gone, or has no such model, input or shape.
        """

    def close(self) -> None:
        """Let go of the models and of what runs them."""
