"""The two Qwen-Image-Edit families, made for a loaded pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as stock_plus

from refhooks import Checkpoint, ModelError, Shown, Size, Text
from refhooks.families import FlowFamily, FlowRun, check_words, load_pipeline, with_own_vae
from refhooks_qwen import _text
from refhooks_qwen._attention import check
from refhooks_qwen._positions import VARIANTS, reach
from refhooks_qwen._processor import StillPictureProcessor
from refhooks_qwen._run import QwenRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image
    from torch import Tensor


class QwenImageEdit(FlowFamily):
    """``QwenImageEditPipeline``: one reference, which the text encoder sees at the VAE's size."""

    name: ClassVar[str] = "qwen-image-edit"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 1
    input_projection: ClassVar[str | None] = "img_in"
    takes_adapters: ClassVar[bool] = True
    takes_keep: ClassVar[bool] = True
    takes_vision_area: ClassVar[bool] = True
    variants: ClassVar[Mapping[str, tuple[str, ...]]] = VARIANTS
    run: ClassVar[type[FlowRun]] = QwenRun
    still_processor: ClassVar[type] = StillPictureProcessor

    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None:
        super().__init__(pipe, checkpoint)
        if pipe.transformer.config.guidance_embeds:
            raise ModelError(
                f"{type(pipe).__name__} with a guidance-distilled transformer (guidance_embeds) is"
                " not supported; use a checkpoint with true CFG"
            )

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load the pipeline, also where torchvision is not installed."""
        return load_pipeline(pipeline, name_or_path, StillPictureProcessor, **kwargs)

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.tokenizer)

    def check_attention(self, *, edited: bool, dropped: bool) -> None:  # noqa: ARG002  its rows are left out of the sequence
        """Refuse attention that is fused, another library's, or runs in parallel."""
        if edited:
            check(self.pipe.transformer)

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1."""
        pipe = with_own_vae(self.pipe)
        latents = pipe._unpack_latents(latents, size.height, size.width, pipe.vae_scale_factor)
        latents = latents.to(pipe.vae.dtype)  # [B,C/4,1,h/f,w/f]
        mean, deviation = (
            torch.tensor(values).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
            for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
        )
        inverse = 1.0 / deviation
        pixels = pipe.vae.decode(latents / inverse + mean, return_dict=False)[0][:, :, 0]
        return pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],  # noqa: ARG002  none stands inside the text
        copies: int,
    ) -> Text:
        """Encode the template, filled in with each prompt and the pictures."""
        template = self._template([entry.number for entry in shown])
        seen = [[self._seen(picture, entry.area) for picture in entry.pictures] for entry in shown]
        pictures = [
            [each[place] if len(each) > 1 else each[0] for each in seen]
            for place in range(len(prompts))
        ]
        return _text.encode(self.pipe, [template.format(p) for p in prompts], pictures, copies)

    def text_positions(
        self,
        prompt: str,
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> tuple[int, int]:
        """Return the tokens behind the template's head, pictures included, and their positions.

        Text begins beyond the largest picture, which is centred.
        """
        grids = [self.grid(entry) for entry in (size, *references) if entry is not None]
        text = self._template([entry.number for entry in shown]).format(prompt)
        seen = [self._seen_size(entry.pictures[0], entry.area) for entry in shown]
        room = len(self.pipe.transformer.pos_embed.pos_freqs) - max(map(reach, grids))
        return _text.length(self.pipe, text, seen), room

    @property
    def vision_area(self) -> int:
        """Pixels at which the text encoder sees pictures: by default those of the VAE."""
        return self.checkpoint.vision or self.checkpoint.reference or self.area

    def _template(self, numbers: Sequence[int]) -> str:
        template = str(self.pipe.prompt_template_encode)
        return template if numbers else template.replace(_text.PLACEHOLDER, "")

    def _seen(self, picture: Image, area: int | None) -> Image:
        """The picture as the text encoder is given it."""
        size = self._seen_size(picture, area)
        return self.pipe.image_processor.resize(picture, size.height, size.width)  # type: ignore[no-any-return]

    def _seen_size(self, picture: Image, area: int | None) -> Size:
        return self.size_of(area or self.vision_area, picture.width / picture.height)

    def size_of(self, area: int, ratio: float) -> Size:
        """Return a size in the stock pipeline's steps of 32."""
        width, height = stock_plus.calculate_dimensions(area, ratio)
        return Size(height=max(32, int(height)), width=max(32, int(width)))


class QwenImageEditPlus(QwenImageEdit):
    """``QwenImageEditPlusPipeline``: up to three references, each ``Picture n`` of the prompt."""

    name: ClassVar[str] = "qwen-image-edit-plus"
    max_references: ClassVar[int] = 3

    def _template(self, numbers: Sequence[int]) -> str:
        named = "".join(f"Picture {number}: {_text.PLACEHOLDER}" for number in numbers)
        return str(self.pipe.prompt_template_encode).replace("{}", named + "{}")

    @property
    def vision_area(self) -> int:
        """The stock pipeline's, unless the checkpoint says another."""
        return self.checkpoint.vision or int(stock_plus.CONDITION_IMAGE_SIZE)

    @property
    def area(self) -> int:
        """The stock pipeline's."""
        return int(stock_plus.VAE_IMAGE_SIZE)
