"""The family, made for a loaded pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from diffusers.pipelines.qwenimage21 import pipeline_qwenimage21 as stock

from refhooks import Checkpoint, ModelError, Shown, Size, Text
from refhooks.families import (
    FlowFamily,
    FlowRun,
    check_words,
    flow_schedule,
    load_pipeline,
    refuse_step_cache,
    with_own_vae,
)
from refhooks_qwen21 import _text
from refhooks_qwen21._attention import check
from refhooks_qwen21._processor import StillPictureProcessor
from refhooks_qwen21._run import QwenImage21Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

STEP = 32  # pixels: a place of the text encoder, two tokens along each side


class QwenImage21(FlowFamily):
    """``QwenImage21Pipeline``: up to ten references, each within the text that names it.

    Text and references are causal and see no noise level: their keys and values are computed once
    a branch and run, and kept. Edits of attention therefore act on what the target's queries see;
    those that say ``prefix=True`` have text and references computed anew.
    """

    name: ClassVar[str] = "qwen-image-21"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 10
    input_projection: ClassVar[str | None] = "img_in"
    takes_adapters: ClassVar[bool] = True
    takes_keep: ClassVar[bool] = True
    takes_vision_area: ClassVar[bool] = True
    reuse_exact: ClassVar[bool] = True
    sight: ClassVar[Literal["joint", "prefix"]] = "prefix"
    picture_mode: ClassVar[Literal["RGB", "RGBA"]] = "RGBA"
    run: ClassVar[type[FlowRun]] = QwenImage21Run
    still_processor: ClassVar[type] = StillPictureProcessor

    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None:
        super().__init__(pipe, checkpoint)
        if not pipe.transformer.config.causal_condition:
            raise ModelError(
                "a QwenImage21Pipeline whose text and references see the noise level"
                " (causal_condition=false) is not supported: their keys cannot be kept"
            )
        fixed = pipe.config.sample_sigmas or []
        if not (
            isinstance(fixed, list | tuple) and all(isinstance(it, float | int) for it in fixed)
        ):
            raise ModelError(f"sample_sigmas must be noise levels, 1 to 0; got {fixed!r}")

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load the pipeline, also where torchvision is not installed."""
        return load_pipeline(pipeline, name_or_path, StillPictureProcessor, **kwargs)

    @property
    def multiple(self) -> int:
        """Pixels along a place of the text encoder, which is two tokens along each side."""
        return STEP

    @property
    def area(self) -> int:
        """The square of the stock pipeline's ``output_resolution``."""
        return int(self.stock_default("output_resolution")) ** 2

    @property
    def default_steps(self) -> int:
        """The number of the checkpoint's fixed noise levels, if it has any; else stock's."""
        fixed = self.pipe.config.sample_sigmas
        return len(fixed) if fixed else super().default_steps

    def size_of(self, area: int, ratio: float) -> Size:
        """Return a size in the stock pipeline's steps of 32."""
        width, height, _ = stock.calculate_dimensions(area, ratio)
        return Size(height=max(STEP, int(height)), width=max(STEP, int(width)))

    def grid(self, size: Size) -> tuple[int, int]:
        """Return rows and columns of tokens, each of the VAE's factor in pixels."""
        side = int(self.pipe.vae_scale_factor)
        return size.height // side, size.width // side

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.processor.tokenizer)

    def text_positions(
        self,
        prompt: str,
        size: Size,  # noqa: ARG002  the target stands behind the text
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> tuple[int, int]:
        """Return the tokens of text behind the system's part, and how many have a position.

        A picture of the text moves what follows by its longer side, and takes no token of text.
        """
        sides = [max(self.grid(entry)) for entry in references if entry is not None]
        room = _text.positions(self.pipe.transformer.pos_embed) - sum(sides) - 1
        numbers = [entry.number for entry in shown]
        text = _text.filled(self.pipe, prompt, _text.entries(references, numbers), numbers)
        return _text.length(self.pipe, text), room

    def schedule(
        self, steps: int, size: Size, total: int | None = None
    ) -> tuple[Any, Sequence[float], Tensor]:
        """Return the scheduler, by the checkpoint's own noise levels where it fixes them."""
        rows, columns = self.grid(size)
        fixed = self.pipe.config.sample_sigmas or None
        return flow_schedule(self.pipe, rows * columns, steps, total, sigmas=fixed)

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],
        copies: int,
    ) -> Text:
        """Encode the template, filled in with each prompt and the pictures."""
        sizes = {
            entry.number: self._seen_size(entry, references[entry.number - 1]) for entry in shown
        }
        seen = [
            [_text.flat(self.pipe, picture, sizes[entry.number]) for picture in entry.pictures]
            for entry in shown
        ]
        pictures = [
            [each[place] if len(each) > 1 else each[0] for each in seen]
            for place in range(len(prompts))
        ]
        numbers = [entry.number for entry in shown]
        return _text.encode(self.pipe, prompts, pictures, numbers, references, copies)

    def _seen_size(self, entry: Shown, own: Size | None) -> Size:
        """The text encoder sees a picture at the size at which the VAE does."""
        picture: Image = entry.pictures[0]
        area = entry.area or self.checkpoint.vision
        if area is not None:
            return self.size_of(area, picture.width / picture.height)
        return own or self.reference_size(picture, None)

    def check_model(self) -> None:
        """Refuse step caches."""
        refuse_step_cache(self.pipe.transformer, "Qwen-Image 2.1")

    def check_attention(self, *, edited: bool, dropped: bool) -> None:
        """Refuse attention that is fused, another library's, or runs in parallel."""
        if edited or dropped:
            check(self.pipe.transformer)

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,4,height,width]``, 0–1; the last channel says how opaque."""
        pipe = with_own_vae(self.pipe)
        latents = pipe._unpack_latents(latents, size.height, size.width, pipe.vae_scale_factor)
        latents = latents.to(pipe.vae.dtype)  # [B,C,1,h/f,w/f]
        mean, deviation = (
            torch.tensor(values).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
            for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
        )
        pixels = pipe.vae.decode(latents * deviation + mean, return_dict=False)[0][:, :, 0]
        return pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]
