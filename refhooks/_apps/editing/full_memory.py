"""A full device, or machine, as refhooks tells it: with what to lower."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks._base.memory import explained, out_of_memory

if TYPE_CHECKING:
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.request import Request

__all__ = ["telling_full_memory"]


class telling_full_memory:  # noqa: N801  it reads as a function
    """Have a full device told as such, while an edit is planned or run.

    Args:
        loaded: The model.
        request: What is asked for.

    Raises:
        OutOfMemoryError: The device is full, or the machine is while the model works.
    """

    def __init__(self, loaded: LoadedModel, request: Request) -> None:
        self._loaded, self._request = loaded, request

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, RuntimeError | MemoryError) and out_of_memory(error):
            raise explained(error, self._lower()) from error

    def _lower(self) -> str:
        return (
            f"out of memory with {len(self._request.references)} references and"
            f" {len(self._request.batch_seeds)} pictures at once; lower resolution, n or"
            " the references' resolution, or offload the model"
            f" ({type(self._loaded.pipe).__name__}.enable_model_cpu_offload())"
        )
