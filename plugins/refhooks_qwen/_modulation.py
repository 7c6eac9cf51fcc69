"""References that are modulated as clean pictures, on a checkpoint that modulates all alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from refhooks import Inputs, Layout
    from refhooks.families import LayerHooks


class Modulation:
    """What gives some tokens the modulation of timestep 0, as ``zero_cond_t`` gives all references.

    Four kinds of hooks, on the model of such a checkpoint alone: the timestep is embedded a second
    time, at 0, behind the first along the batch; each block is told which of its tokens the second
    is for, and gives its text the first; so does the last norm.

    Args:
        transformer: The model.
        layers: Puts hooks on.
    """

    def __init__(self, transformer: Any, layers: LayerHooks) -> None:
        self._transformer = transformer
        self._layers = layers
        self._index: Tensor | None = None  # [B,L-S], 1 for tokens of a clean picture
        self._key: Any = None

    def use(self, inputs: Inputs, layout: Layout) -> None:
        """Have the next pass mind which tokens are clean pictures."""
        clean = [
            slot
            for slot, tokens in enumerate(inputs.slots)
            if tokens is not None and tokens.modulate == "zero"
        ]
        if not clean or self._transformer.config.zero_cond_t:
            self._index, self._key = None, None
            return
        batch = inputs.target.shape[0]
        key = (layout, tuple(clean), batch)
        if key != self._key:
            start, index = layout.target.start, torch.zeros(layout.length, dtype=torch.int)
            for slot in clean:
                index[layout.slots[slot]] = 1
            self._index = index[start:].expand(batch, -1).to(inputs.target.device)
            self._key = key
        self._install()

    def _install(self) -> None:
        self._layers.install("time_text_embed", self._embed, "modulation")
        self._layers.install_before("norm_out", self._first_of_norm, "modulation")
        for number in range(len(self._transformer.transformer_blocks)):
            name = f"transformer_blocks.{number}"
            self._layers.install_before(name, self._tell, "modulation")
            self._layers.install(f"{name}.txt_mod", self._first, "modulation")

    def _embed(self, module: Any, args: Any, output: Tensor) -> Tensor | None:
        if self._index is None:
            return None
        return torch.cat([output, module.forward(args[0] * 0, *args[1:])])

    def _tell(self, _module: Any, args: Any, kwargs: Any) -> Any:
        return None if self._index is None else (args, {**kwargs, "modulate_index": self._index})

    def _first(self, _module: Any, _args: Any, output: Tensor) -> Tensor | None:
        return None if self._index is None else output.chunk(2)[0]

    def _first_of_norm(self, _module: Any, args: Any, kwargs: Any) -> Any:
        if self._index is None:
            return None
        hidden, embedded = args
        return (hidden, embedded.chunk(2)[0]), kwargs
