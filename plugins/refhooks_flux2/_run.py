"""The state of one run: prompts, noise, and the way through the transformer and the VAE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from refhooks.families import JointRun, Places
from refhooks_flux2._attention import processors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Branch, Context, Inputs, Size, Tokens
    from refhooks.attention import GroupEdit, Processors

    Filled = list[tuple[int, Tokens]]

FRAMES = 10  # from one picture to the next
_KEPT = 2  # sets of keys and values: the last one, and one that a strength may come back to


class Flux2Run(JointRun):
    """One run on a FLUX.2 pipeline: text, target, then the references at every step."""

    def make_places(self) -> Places:
        """Return ids of frame, row, column and 0; references are at frames 10, 20 and so on."""
        return Places(
            self.grid, self.grids, self.device, frame=lambda slot: FRAMES * (slot + 1), axes=4
        )

    def make_processors(self, *, record: bool) -> Processors:
        """Return those of blocks of two streams, and of one."""
        return processors(self.pipe.transformer, self.family.stock, record=record)

    def encode(self, picture: Image, size: Size) -> Tensor:
        """Return the VAE's mode, normalised and packed, ``[1,R,C]``.

        A picture at its own size, or shrunk to 1 MP, is cut at the centre, as stock has it; for
        any other size it is resized.
        """
        processor = self.pipe.image_processor
        if self.family.cut_size(picture) == size:
            picture = processor._resize_if_exceeds_area(picture, self.family.area)
            pixels = processor.preprocess(picture, size.height, size.width, resize_mode="crop")
        else:
            pixels = processor.preprocess(picture, size.height, size.width)
        pixels = pixels.to(self.device, self.pipe.vae.dtype)
        latents: Tensor = self.pipe._encode_vae_image(pixels, None)
        return self.pack(latents)

    def forward(
        self,
        ctx: Context,
        branch: Branch,
        inputs: Inputs,
        hidden: Tensor,
        ids: Tensor,
        **kept: Any,
    ) -> tuple[Any, ...]:
        """Call the transformer as the stock pipeline does; ``kept``: of kept keys and values."""
        batch, text = hidden.shape[0], inputs.text.embeds.shape[1]
        self.pipe._current_timestep = ctx.t
        own = None if self.processors is None else {"refhooks": text}
        with self.pipe.transformer.cache_context(branch.name):
            made: tuple[Any, ...] = self.pipe.transformer(
                hidden_states=hidden.to(self.dtype),
                timestep=ctx.t.expand(batch).to(inputs.target.dtype) / 1000,
                guidance=self.family.embedded(self.scale, batch, self.device),
                encoder_hidden_states=inputs.text.embeds,
                txt_ids=inputs.text.ids,
                img_ids=ids.expand(batch, -1, -1),
                joint_attention_kwargs=own,
                return_dict=False,
                **kept,
            )
        return made


class Kept:
    """Keys and values of the references of a pass, and what they were computed from."""

    def __init__(self, filled: Filled, adapters: tuple[Any, ...]) -> None:
        self.filled = filled
        self.adapters = adapters
        self.cache: Any = None

    def serves(self, filled: Filled, adapters: tuple[Any, ...]) -> bool:
        """Whether they are what these would give: made of the same tensors."""
        return (
            adapters == self.adapters
            and len(filled) == len(self.filled)
            and all(
                slot == own and _same(tokens, those)
                for (slot, tokens), (own, those) in zip(filled, self.filled, strict=True)
            )
        )


class Flux2KVRun(Flux2Run):
    """One run on a pipeline that keeps the references' keys and values.

    Attributes:
        computed: How many times they were computed.
    """

    tail = True

    def __init__(self, family: Any, **options: Any) -> None:
        super().__init__(family, **options)
        self.computed = 0
        self._kept: list[Kept] = []
        self._last: dict[int, Tokens] = {}

    def predict(
        self, ctx: Context, branch: Branch, inputs: Inputs, edits: Sequence[GroupEdit]
    ) -> Tensor:
        """Run the transformer on the target, the first time with the references before it."""
        layout = self.layout(inputs)
        filled = self._filled(inputs, edits)
        kept = self._of(filled, inputs.adapters)
        if self.processors is not None:
            seen = slice(0, layout.target.stop)
            self.processors.plan(layout, edits, self.device, seen)
            for processor in self.processors.each:
                processor.spans = _spans(filled)
        self.layers.use(inputs)
        made = self._pass(ctx, branch, inputs, kept)
        self.layers.rest()
        self.note(branch)
        return made

    def close(self) -> None:
        """Also let go of keys and values."""
        self._kept.clear()
        self._last.clear()
        super().close()

    def _pass(self, ctx: Context, branch: Branch, inputs: Inputs, kept: Kept) -> Tensor:
        target, ids = inputs.target, self.places.of_target(inputs.keep)
        if not kept.filled:
            velocity = self.forward(ctx, branch, inputs, target, ids)[0]
        elif kept.cache is None:
            pictures = [tokens for _, tokens in kept.filled]
            joined = self.joiner.join(target, pictures)
            count = joined.shape[1] - target.shape[1]
            hidden = joined.roll(count, dims=1)  # references before the target
            ids = torch.cat([self.places.of(kept.filled), ids])
            velocity, kept.cache = self.forward(
                ctx, branch, inputs, hidden, ids, kv_cache_mode="extract", num_ref_tokens=count
            )
            self.computed += 1
        else:
            velocity = self.forward(
                ctx, branch, inputs, target, ids, kv_cache=kept.cache, kv_cache_mode="cached"
            )[0]
        own: Tensor = velocity
        return own

    def _filled(self, inputs: Inputs, edits: Sequence[GroupEdit]) -> Filled:
        """Filled slots; one whose keys are loaded counts as it last was, as others saw it."""
        loaded = {edit.group for edit in edits if edit.load is not None}
        filled: Filled = []
        for slot, tokens in enumerate(inputs.slots):
            if tokens is not None:
                self._last[slot] = tokens
                filled.append((slot, tokens))
            elif slot in loaded and slot in self._last:
                filled.append((slot, self._last[slot]))
        return filled

    def _of(self, filled: Filled, adapters: tuple[Any, ...]) -> Kept:
        """Return what is kept for these; what is new has still to be computed."""
        for kept in self._kept:
            if kept.serves(filled, adapters):
                self._kept.remove(kept)
                self._kept.append(kept)
                return kept
        del self._kept[: len(self._kept) - _KEPT + 1]
        self._kept.append(Kept(filled, adapters))
        return self._kept[-1]


def _spans(filled: Filled) -> Mapping[int, slice]:
    """Where each slot stands among the references, by its number plus 1."""
    spans, start = {}, 0
    for slot, tokens in filled:
        count = tokens.latents.shape[1] if tokens.keep is None else tokens.keep.shape[0]
        spans[slot + 1] = slice(start, start + count)
        start += count
    return spans


def _same(one: Tokens, other: Tokens) -> bool:
    return (
        one.latents is other.latents and one.keep is other.keep and one.positions == other.positions
    )
