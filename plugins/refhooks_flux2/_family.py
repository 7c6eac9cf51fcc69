"""The FLUX.2 families, made for a loaded pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers.pipelines.flux2 import pipeline_flux2
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

from refhooks import InputError, ModelError, Shown, Size, Text
from refhooks.families import (
    FlowFamily,
    FlowRun,
    check_words,
    flow_schedule,
    refuse_step_cache,
    step_cache_of,
)
from refhooks.pictures import Cut, cut_size
from refhooks_flux2._attention import STOCK, STOCK_KV, check
from refhooks_flux2._run import Flux2KVRun, Flux2Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Checkpoint

LEAST = 64  # pixels of a reference's side, below which stock refuses it
FIRST_BLOCK = "FBCHeadBlockHook"  # what diffusers calls the hook of First Block Cache
LONGEST = 8  # sides to one, beyond which it does


class Flux2Klein(FlowFamily):
    """``Flux2KleinPipeline``, distilled (no guidance) and base (true guidance)."""

    name: ClassVar[str] = "flux2-klein"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 10
    input_projection: ClassVar[str | None] = "x_embedder"
    takes_adapters: ClassVar[bool] = True
    takes_keep: ClassVar[bool] = True
    run: ClassVar[type[FlowRun]] = Flux2Run
    stock: ClassVar[tuple[type[Any], type[Any]]] = STOCK

    @property
    def guidance_kind(self) -> Any:
        """``none`` for a distilled checkpoint, else ``true``."""
        return "none" if self.pipe.config.is_distilled else "true"

    def cut_size(self, picture: Image | Size) -> Size:
        """Return the stock pipeline's size of a picture: its own up to 1 MP, cut to multiples."""
        left = cut_size(picture, self.area, self.multiple)
        return Size(max(self.multiple, left.height), max(self.multiple, left.width))

    def cut(self, picture: Size, size: Size) -> Cut | None:
        """Return the stock pipeline's way to its own size; to any other one it is resized."""
        return Cut(size, self.area) if picture != size == self.cut_size(picture) else None

    def own_size(self, picture: Image) -> Size:
        """Return that of the picture as it is cut."""
        return self.cut_size(picture)

    def reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return the size at which the VAE encodes a reference.

        Raises:
            InputError: Its sides are too different, or, where nothing says a size, too short.
        """
        short, long = sorted(picture.size)
        said = f"a reference of {picture.width}x{picture.height} pixels"
        if long > LONGEST * short:
            raise InputError(
                f"{said} is longer than {LONGEST} to 1, which is as far as {self.name} goes; crop"
                " it"
            )
        if resolution is not None or self.checkpoint.reference is not None:
            return super().reference_size(picture, resolution)
        if short < LEAST:
            raise InputError(
                f"{said} has a side below {LEAST}, which is the least that {self.name} takes; give"
                f" a larger picture, or a resolution to have it scaled"
                f" (Reference(…, resolution={self.area // 4}))"
            )
        return self.cut_size(picture)

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.tokenizer)

    def text_positions(
        self,
        prompt: str,
        size: Size,  # noqa: ARG002  each kind of token has positions of its own
        references: Sequence[Size | None],  # noqa: ARG002
        shown: Sequence[Shown],  # noqa: ARG002  the text encoder sees none
    ) -> tuple[int, int]:
        """Return the tokens of a prompt with its template, and how many the pipeline reads."""
        text = self.pipe.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True,
            enable_thinking=False,
        )  # fmt: skip
        return len(self.pipe.tokenizer(text).input_ids), self.pipe.tokenizer_max_length

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],  # noqa: ARG002
        references: Sequence[Size | None],  # noqa: ARG002  none stands inside the text
        copies: int,
    ) -> Text:
        """Encode the prompts, filled up to the pipeline's length."""
        embeds, ids = self.pipe.encode_prompt(list(prompts), num_images_per_prompt=copies)
        return Text(embeds, ids=ids)

    def schedule(
        self, steps: int, size: Size, total: int | None = None
    ) -> tuple[Any, Sequence[float], Tensor]:
        """Return the scheduler, shifted by tokens and steps; from 4,300 tokens on another way."""
        rows, columns = self.grid(size)
        mu = compute_empirical_mu(rows * columns, total or steps)
        return flow_schedule(self.pipe, rows * columns, steps, total, mu=mu)

    def check_model(self) -> None:
        """Refuse First Block Cache, which diffusers cannot run on FLUX.2 itself."""
        if step_cache_of(self.pipe.transformer) == FIRST_BLOCK:
            raise InputError(
                f"the transformer has a step cache ({FIRST_BLOCK}) that diffusers cannot run on"
                " FLUX.2, whose last block returns its tokens in another form than its first one;"
                " take it off (transformer.disable_cache()), or take MagCache or TaylorSeer"
            )

    def check_attention(self, *, edited: bool, dropped: bool) -> None:  # noqa: ARG002  ids of its rows are left out
        """Refuse attention that is fused, another library's, or runs in parallel."""
        if edited:
            check(self.pipe.transformer, self.stock)

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1."""
        vae = self.pipe.vae
        latents = latents.transpose(1, 2).unflatten(2, self.grid(size))  # [B,C,rows,columns]
        mean = vae.bn.running_mean.view(1, -1, 1, 1).to(latents.device, latents.dtype)
        variance = vae.bn.running_var.view(1, -1, 1, 1)
        deviation = torch.sqrt(variance + vae.config.batch_norm_eps)
        latents = latents * deviation.to(latents.device, latents.dtype) + mean
        latents = self.pipe._unpatchify_latents(latents).to(vae.dtype)  # [B,C/4,2·rows,2·columns]
        pixels = vae.decode(latents, return_dict=False)[0]
        return self.pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]


class Flux2KleinKV(Flux2Klein):
    """``Flux2KleinKVPipeline``: references before the target, in the first step alone.

    They see one another alone, at noise level 0: their keys and values are computed once a run, and
    kept. Edits of attention act on what text and target see of them.
    """

    name: ClassVar[str] = "flux2-klein-kv"
    reuse_exact: ClassVar[bool] = True
    run: ClassVar[type[FlowRun]] = Flux2KVRun
    stock: ClassVar[tuple[type[Any], type[Any]]] = STOCK_KV

    def check_model(self) -> None:
        """Refuse step caches."""
        refuse_step_cache(self.pipe.transformer, self.name)

    @property
    def guidance_kind(self) -> Any:
        """``none``: it is distilled."""
        return "none"


class Flux2Dev(Flux2Klein):
    """``Flux2Pipeline``: FLUX.2 dev, whose guidance is an input of the model."""

    name: ClassVar[str] = "flux2-dev"

    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None:
        super().__init__(pipe, checkpoint)
        if not pipe.transformer.config.guidance_embeds:
            raise ModelError(
                "a Flux2Pipeline whose transformer has no embedded guidance"
                " (guidance_embeds=false) is not supported; klein has its own pipeline class"
            )

    @property
    def guidance_kind(self) -> Any:
        """``embedded``."""
        return "embedded"

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, getattr(self.pipe.tokenizer, "tokenizer", self.pipe.tokenizer))

    def text_positions(
        self,
        prompt: str,
        size: Size,  # noqa: ARG002
        references: Sequence[Size | None],  # noqa: ARG002
        shown: Sequence[Shown],  # noqa: ARG002
    ) -> tuple[int, int]:
        """Return the tokens of a prompt with the system's part, and how many the pipeline reads."""
        messages = pipeline_flux2.format_input([prompt], system_message=self.pipe.system_message)
        made = self.pipe.tokenizer.apply_chat_template(
            messages, add_generation_prompt=False, tokenize=True, return_dict=True
        )
        return len(made["input_ids"][0]), self.pipe.tokenizer_max_length
