"""What users do with LoRAs: add one, take it off, ask what is there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from refhooks._loras.header import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from refhooks._loras.records import LoraState

__all__ = ["TakesLoras"]


class TakesLoras:
    """What a loaded model has to do with LoRAs; a model with a ``pipe`` and a ``family``."""

    def add_lora(self, file: str | Path, scale: float = 1.0, name: str | None = None) -> str:
        """Add a LoRA to the model, beside those that are there.

        Keys are brought to the model's own names by comparing them with its layers, so files of
        any trainer fit any family; the page "My LoRA, my file" lists layouts and kinds. What is
        active stays so. All of the file is checked before the model is touched.

        Args:
            file: A ``.safetensors`` file.
            scale: What it acts with, times its own alpha over rank; 1 is as it was trained.
            name: Of the adapter, for ``pipe.set_adapters``; by default from the file's name.

        Returns:
            The adapter's name.

        Raises:
            InputError: The file is broken, of a kind that is not applied, or holds NaN; or
                ``scale`` is no finite number, or ``name`` is taken or cannot be one.
            ModelError: It was made for another model, a LoRA is fused into the weights, or peft is
                not installed.
            BusyError: The model runs an edit.
        """
        from refhooks._loras.adding import add_file  # noqa: PLC0415  imports torch, a second

        with self._alone():
            return add_file(*self._lora_parts(), read_header(file), scale, name)

    def remove_lora(self, name: str) -> None:
        """Take a LoRA off the model, with what it wrapped; the others act as before.

        Args:
            name: As :meth:`add_lora` returned it.

        Raises:
            InputError: The model has no LoRA of that name.
            ModelError: It is fused into the weights.
            BusyError: The model runs an edit.
        """
        from refhooks._loras.adding import remove_adapter  # noqa: PLC0415  imports torch, a second

        with self._alone():
            remove_adapter(*self._lora_parts(), name)

    @property
    def loras(self) -> tuple[LoraState, ...]:
        """The LoRAs on the model, as they are now, whoever loaded them."""
        from refhooks._loras.state import states_of  # noqa: PLC0415  imports torch, a second

        return states_of(self._lora_parts()[1])

    def _lora_parts(self) -> tuple[Any, Any]:
        """The pipeline, and its transformer out of ``torch.compile``."""
        from refhooks._loras.places import uncompiled  # noqa: PLC0415  imports torch, a second

        loaded: Any = self
        return loaded.pipe, uncompiled(loaded.family.transformer)

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        """What keeps edits away meanwhile."""
        return contextlib.nullcontext()
