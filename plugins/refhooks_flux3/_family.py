"""The FLUX.3 family, made for a loaded pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.modular_pipelines.flux3.decoders import Flux3DecodeStep
from diffusers.modular_pipelines.flux3.encoders import Flux3TextEncoderStep
from PIL import Image

from refhooks import InputError, Shown, Size, Text
from refhooks.families import FlowFamily, FlowRun, check_words, step_cache_of
from refhooks.pictures import Cut, Filled, cut_size
from refhooks_flux3._attention import check
from refhooks_flux3._processor import StillPictureProcessor
from refhooks_flux3._run import Flux3Run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class Flux3(FlowFamily):
    """``Flux3ModularPipeline`` (guided) and ``Flux3DistilledModularPipeline`` (a flow map).

    Text, target and references each pass blocks of their own before they are joined, and only the
    target minds the noise level.
    """

    name: ClassVar[str] = "flux3"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 10
    input_projection: ClassVar[str | None] = "x_embedders.image"
    takes_adapters: ClassVar[bool] = True
    takes_keep: ClassVar[bool] = True
    run: ClassVar[type[FlowRun]] = Flux3Run
    still_processor: ClassVar[type] = StillPictureProcessor

    @property
    def guidance_kind(self) -> Any:
        """``none`` for a flow map, else ``true``."""
        return "none" if self.pipe.transformer.config.flow_map else "true"

    @property
    def blocks(self) -> int:
        """Those that references pass: first their own, then those of all."""
        config = self.pipe.transformer.config
        return int(config.num_layers + config.num_single_layers)

    @property
    def rope_axes(self) -> tuple[int, ...]:
        """Channels of a head that turn with frame, row, column, and number or place in the text."""
        return tuple(self.pipe.transformer.config.axes_dims_rope)

    @property
    def token_bytes(self) -> int:
        """Keys and values: the transformer's width, in the dtype of the run."""
        width: int = self.pipe.transformer.inner_dim
        return 2 * self.blocks * width * int((self.dtype or self.pipe.text_encoder.dtype).itemsize)

    def whole_size(self, picture: Image.Image) -> Size:
        """Return that of a picture that is kept whole: up to 4 MP, filled up to whole tokens."""
        processor = self.pipe.image_processor
        shrunk = processor._resize_if_canvas_exceeds_area(picture)
        return Size(*processor._get_canvas_height_width(shrunk.height, shrunk.width))

    def cut_size(self, picture: Image.Image) -> Size | None:
        """Return that of one among several pictures: up to 1 MP, cut to whole tokens, if any."""
        left = cut_size(picture, self.area, self.multiple)
        return left if left.height and left.width else None

    def cut(self, picture: Size, size: Size) -> Cut | None:
        """Return the blocks' way to a size of theirs; to any other one a picture is resized."""
        if picture == size:
            return None
        blank = Image.new("1", (picture.width, picture.height))
        if size == self.whole_size(blank):
            processor = self.pipe.image_processor
            inner = processor._resize_if_canvas_exceeds_area(blank)
            thin = min(inner.size) <= self.multiple
            mirror: Any = "symmetric" if thin else "reflect"
            return Filled(size, 0, inner=Size(inner.height, inner.width), mirror=mirror)
        return Cut(size, self.area) if size == self.cut_size(blank) else None

    def own_size(self, picture: Image.Image) -> Size:
        """Return that of the picture, kept whole."""
        return self.whole_size(picture)

    def reference_size(self, picture: Image.Image, resolution: int | str | None) -> Size:
        """Return the size of one among several references.

        Raises:
            InputError: It is thinner than a token.
        """
        if resolution is not None or self.checkpoint.reference is not None:
            return super().reference_size(picture, resolution)
        size = self.cut_size(picture)
        if size is None:
            raise InputError(
                f"a reference of {picture.width}x{picture.height} pixels, within 1 MP, is thinner"
                f" than a token of {self.name}, {self.multiple} pixels; crop it, or give a"
                " resolution to have it scaled (Reference(…, resolution=262144))"
            )
        return size

    def lone_reference_size(self, picture: Image.Image, resolution: int | str | None) -> Size:
        """Return the size of the only reference, which is kept whole."""
        if resolution is not None or self.checkpoint.reference is not None:
            return super().reference_size(picture, resolution)
        return self.whole_size(picture)

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.tokenizer.tokenizer)

    def check_texts(
        self,
        prompted: Mapping[str, Sequence[str]],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> None:
        """Refuse prompts that are too long, or whose padding, which is read, is not one length."""
        super().check_texts(prompted, size, references, shown)
        for prompts in prompted.values():
            lengths = {_padded(self.pipe, self._length(prompt)) for prompt in prompts}
            if len(lengths) > 1:
                raise InputError(
                    f"{self.name} reads the padding of its prompts, and these are padded to"
                    f" {' and '.join(map(str, sorted(lengths)))} tokens, which one batch cannot"
                    " hold; edit them one after the other"
                )

    def text_positions(
        self,
        prompt: str,
        size: Size,  # noqa: ARG002  each kind of token has positions of its own
        references: Sequence[Size | None],  # noqa: ARG002
        shown: Sequence[Shown],  # noqa: ARG002  the text encoder sees none
    ) -> tuple[int, int]:
        """Return the tokens of a prompt with its template, and how many the blocks read."""
        return self._length(prompt), int(self.pipe.config.max_sequence_length)

    def _length(self, prompt: str) -> int:
        text = self.pipe.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        return len(self.pipe.tokenizer.tokenizer(text, verbose=False).input_ids)

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],  # noqa: ARG002
        references: Sequence[Size | None],  # noqa: ARG002  none stands inside the text
        copies: int,
    ) -> Text:
        """Encode each prompt as the blocks do, padded to a multiple of its own."""
        config = self.pipe.config
        rows = [
            Flux3TextEncoderStep._get_qwen3_vl_prompt_embeds(
                self.pipe.text_encoder,
                self.pipe.tokenizer,
                prompt,
                self.pipe._execution_device,
                config.max_sequence_length,
                config.pad_multiple,
                config.text_encoder_out_layers,
            )
            for prompt in prompts
        ]
        embeds = torch.cat(rows).repeat_interleave(copies, dim=0)  # [B,S,E]
        ids = torch.zeros(embeds.shape[1], 4, device=embeds.device)
        ids[:, 3] = torch.arange(embeds.shape[1])
        return Text(embeds, ids=ids)

    def check_model(self) -> None:
        """Refuse a step cache, for which diffusers' model has none of its methods."""
        cache = step_cache_of(self.pipe.transformer)
        if cache is not None:
            raise InputError(
                f"the transformer has a step cache ({cache}), which diffusers cannot empty between"
                " runs of FLUX.3; take it off"
            )

    def check_attention(self, *, edited: bool, dropped: bool) -> None:  # noqa: ARG002  ids of its rows are left out
        """Refuse attention that is another library's, or runs in parallel."""
        if edited:
            check(self.pipe.transformer)

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1."""
        vae = self.pipe.vae
        latents = latents.transpose(1, 2).unflatten(2, self.grid(size))  # [B,C,rows,columns]
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(latents.device, latents.dtype)
        deviation = torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
        latents = latents * deviation.to(latents.device, latents.dtype) + mean
        latents = Flux3DecodeStep._unpatchify_latents(latents)  # [B,C/4,2·rows,2·columns]
        pixels = vae.decode(latents.to(vae.dtype), return_dict=False)[0]
        return self.pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]


def _padded(pipe: Any, tokens: int) -> int:
    step: int = pipe.config.pad_multiple
    return min(-(-tokens // step) * step, int(pipe.config.max_sequence_length))
