"""The state of one run: prompts, noise, and the way through the transformer and the VAE."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from refhooks import InputError
from refhooks.families import (
    FlowRun,
    LayerHooks,
    is_compiled,
    with_own_vae,
)
from refhooks_qwen21._attention import processors
from refhooks_qwen21._first import masks_of, pieces_of
from refhooks_qwen21._prefix import Prefix, Prefixes
from refhooks_qwen21._sequence import LEAST, as_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Branch, Context, Inputs, Layout, Size
    from refhooks.attention import GroupEdit, Processors
    from refhooks_qwen21._first import Piece

_GRAPHS = 64  # of a compiled block


class QwenImage21Run(FlowRun):
    """One run on a ``QwenImage21Pipeline``.

    Attributes:
        prefixes: Keys and values of text and references.
    """

    def __init__(self, family: Any, **options: Any) -> None:
        super().__init__(family, **options)
        transformer = self.pipe.transformer
        self.prefixes = Prefixes(len(transformer.transformer_blocks), self.grids)
        self._layers = LayerHooks(transformer, "img_in", tail=True)
        self._processors: Processors | None = None
        self._rotary: Tensor | None = None
        self._record = False
        self._shares: list[Tensor] = []
        self._limit = contextlib.ExitStack()

    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return the VAE's mode of an RGBA picture, normalised, ``[1,R,C]``."""
        pixels = self.pipe.image_processor.preprocess(picture, size.height, size.width)
        pixels = pixels.unsqueeze(2).to(self.device, self.pipe.vae.dtype)  # [1,4,1,h,w]
        pipe = with_own_vae(self.pipe)
        return self.pack(pipe._encode_vae_image(pixels, None)[:, :, 0])

    def prepare(self, *, attention: bool, record: bool) -> None:
        """Put on what holds for the whole run.

        Raises:
            InputError: The model's attention is not the stock one, or runs in parallel.
        """
        _check_not_parallel(self.pipe.transformer)
        if any(map(is_compiled, self.pipe.transformer.transformer_blocks)):
            self._limit.enter_context(torch._dynamo.config.patch(recompile_limit=_GRAPHS))
        self._record = record
        if attention or record:
            self._put_on()

    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Run the transformer, and return the target's part.

        Where nothing edits attention the first pass is the stock one, of the whole sequence; where
        something does, the prefix is computed with the smallest target first.
        """
        self.pipe._current_timestep = ctx.t
        layout = self.layout(inputs)
        prefix = self.prefixes.of(branch.name, inputs, edits)
        edited = bool(edits) or self._record
        self._plan(prefix, layout, edits)
        self._layers.use(inputs)
        if edited and not prefix.computed:
            self._layers.pause_added()
            least = inputs.target[:, : LEAST[0] * LEAST[1]]
            self._pass(ctx, branch, prefix, least, LEAST)
            self._layers.use(inputs)
        prediction = self._pass(ctx, branch, prefix, inputs.target, self.grid, inputs.keep)
        self._layers.rest()
        if self._record and branch.name == "cond":
            assert self._processors is not None  # noqa: S101  put on by prepare
            self._shares.append(self._processors.recorded(len(self.grids)))
        return prediction[:, -inputs.target.shape[1] :]

    def recorded(self) -> Tensor | None:
        """Return the attention shares of every step, ``[N,blocks,1+references,B]``."""
        return torch.stack(self._shares) if self._shares else None

    def close(self) -> None:
        """Take everything off, and let go of keys and values."""
        self._layers.remove()
        self._limit.close()
        self.prefixes.clear()
        if self._processors is not None:
            self._processors.remove()
        super().close()

    def _pass(
        self,
        ctx: Context,
        branch: Branch,
        prefix: Prefix,
        target: Tensor,
        grid: tuple[int, int],
        keep: Tensor | None = None,
    ) -> Tensor:
        """One stock forward: it computes the prefix where that is still to be done.

        Of a target that is not whole, ``grid`` is that of the whole, and the model counts another.
        """
        sequence, transformer = prefix.sequence, self.pipe.transformer
        self._rotary = None
        if keep is not None or not sequence.native:
            self._layers.install("pos_embed", self._replace_rotary)
            self._rotary = sequence.rotary(transformer.pos_embed, grid, self.device, keep)
        if keep is not None:
            grid = as_grid(target.shape[1])
        embeds, mask = sequence.embeds()
        timestep = ctx.t.expand(target.shape[0]).to(target.dtype)
        with transformer.cache_context(branch.name):
            prediction: Tensor = transformer(
                hidden_states=sequence.hidden(target),
                timestep=timestep / 1000,
                encoder_hidden_states=embeds,
                encoder_hidden_states_mask=mask,
                img_shapes=[sequence.shapes(grid)] * target.shape[0],
                img_mask=sequence.img_mask(grid, self.device),
                attention_kwargs={},
                kv_cache=prefix.cache,
                kv_cache_mode="cached" if prefix.computed else "extract",
                return_dict=False,
            )[0]
        prefix.computed = True
        return prediction

    def _plan(self, prefix: Prefix, layout: Layout, edits: Sequence[GroupEdit]) -> None:
        """Set what every block does in the next passes."""
        sequence = prefix.sequence
        valid = sequence.valid()
        if valid is not None:
            self._put_on()
        if self._processors is None:
            return
        text, spans = sequence.spans()
        slots = {slot + 1: span for slot, span in spans.items()}
        pieces: list[tuple[Piece, ...]] = [()] * len(self._processors.each)
        if not prefix.computed and (prefix.edits or valid is not None):
            self._processors.plan(layout, prefix.edits, self.device)
            order = sequence.order(layout).to(self.device)
            masks = masks_of(text, slots, sequence.text.mask, self.device)
            pieces = [
                pieces_of(processor.groups, text, slots, order, masks)
                for processor in self._processors.each
            ]
        self._processors.plan(layout, edits, self.device, layout.target)
        for processor, first in zip(self._processors.each, pieces, strict=True):
            processor.edited |= valid is not None  # its mask would not fit what is kept
            processor.text, processor.slots = text, slots
            processor.text_mask = sequence.text.mask
            processor.valid = None if valid is None else valid.to(self.device)
            processor.pieces = first

    def _put_on(self) -> None:
        if self._processors is None:
            self._processors = processors(self.pipe.transformer, record=self._record)
            self._processors.install()

    def _replace_rotary(self, _module: Any, _args: Any, _output: Any) -> Any:
        return self._rotary


def _check_not_parallel(transformer: Any) -> None:
    for block in transformer.transformer_blocks:
        if getattr(block.attn.processor, "_parallel_config", None) is not None:
            raise InputError(
                "the transformer runs in parallel over several devices, for which diffusers has no"
                " plan on Qwen-Image 2.1, whose text and references are computed piece by piece;"
                " load it on one device"
            )
