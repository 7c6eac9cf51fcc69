"""LongCat-Image-Edit: one reference after the target, told from it by its first position id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.models.transformers.transformer_longcat_image import LongCatImageAttnProcessor
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as stock

from refhooks import Shown, Size, Text
from refhooks.families import FlowRun, PatchFamily, PatchRun, Places, check_words, load_pipeline
from refhooks_longcat import _text
from refhooks_longcat._processor import StillPictureProcessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from refhooks import Branch, Context, Inputs


class LongCatRun(PatchRun):
    """One run: text of modality 0, target of 1, then the reference of 2.

    Rows and columns of both begin where the text ends, which is of one length for every prompt.
    """

    def make_places(self) -> Places:
        """Return ids of modality, row and column."""
        return Places(
            self.grid, self.grids, self.device, frame=lambda slot: slot + 2, target=1,
            start=self.texts["cond"].embeds.shape[1],
        )  # fmt: skip

    def forward(
        self, ctx: Context, branch: Branch, inputs: Inputs, hidden: Tensor, ids: Tensor
    ) -> tuple[Any, ...]:
        """Call the transformer; processors know the run's passes by the rotary embedding alone."""
        if self.processors is not None:
            self.layers.install("pos_embed", self._mark, "own")
        self.pipe._current_timestep = ctx.t
        with self.pipe.transformer.cache_context(branch.name):
            made: tuple[Any, ...] = self.pipe.transformer(
                hidden_states=hidden,
                timestep=ctx.t.expand(hidden.shape[0]).to(inputs.target.dtype) / 1000,
                guidance=None,
                encoder_hidden_states=inputs.text.embeds,
                txt_ids=inputs.text.ids,
                img_ids=ids,
                return_dict=False,
            )
        return made

    def _mark(self, _module: Any, _args: Any, rotary: tuple[Tensor, Tensor]) -> Any:
        return *rotary, self.texts["cond"].embeds.shape[1]


class LongCatEdit(PatchFamily):
    """``LongCatImageEditPipeline``: the text encoder sees the picture at half its sides."""

    name: ClassVar[str] = "longcat-image-edit"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 1
    takes_vision_area: ClassVar[bool] = True
    run: ClassVar[type[FlowRun]] = LongCatRun
    stock: ClassVar[type[Any]] = LongCatImageAttnProcessor

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load the pipeline, also where torchvision is not installed."""
        part = "text_processor"
        return load_pipeline(pipeline, name_or_path, StillPictureProcessor, part=part, **kwargs)

    def size_of(self, area: int, ratio: float) -> Size:
        """Return a size in the stock pipeline's steps of 16, which it rounds up to."""
        width, height = stock.calculate_dimensions(area, ratio)
        return Size(height, width)

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.tokenizer)

    def text_positions(
        self, prompt: str, size: Size, references: Sequence[Size | None], shown: Sequence[Shown]
    ) -> tuple[int, int]:
        """Return the tokens of a prompt, and how many the pipeline reads; pictures are extra."""
        del size, references, shown
        return len(_text.words(self.pipe, prompt)), int(self.pipe.tokenizer_max_length)

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],
        copies: int,
    ) -> Text:
        """Encode each prompt with the picture; the stock pipeline takes one prompt a call."""
        seen = [self._seen(entry, references[entry.number - 1]) for entry in shown]
        pictures = seen[0] if seen else [None]
        embeds = torch.cat([
            _text.encode(self.pipe, prompt, pictures[place if len(pictures) > 1 else 0])
            for place, prompt in enumerate(prompts)
        ])  # fmt: skip
        ids = stock.prepare_pos_ids(num_token=embeds.shape[1]).to(self.pipe._execution_device)
        return Text(embeds.repeat_interleave(copies, dim=0), ids=ids)

    def _seen(self, entry: Shown, own: Size | None) -> list[Any]:
        """The pictures as the text encoder is given them: at the VAE's size, then at half."""
        resize, first = self.pipe.image_processor.resize, entry.pictures[0]
        own = own or self.reference_size(first, None)
        area = entry.area or self.checkpoint.vision
        size = Size(own.height // 2, own.width // 2)
        if area is not None:
            size = self.size_of(area, own.width / own.height)
        return [
            resize(resize(picture, own.height, own.width), size.height, size.width)
            for picture in entry.pictures
        ]
