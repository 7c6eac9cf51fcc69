"""FLUX.1 Kontext: one reference, on a frame of its own after the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from diffusers.models.transformers.transformer_flux import FluxAttnProcessor
from diffusers.pipelines.flux import pipeline_flux_kontext as stock

from refhooks import Shown, Size, Text
from refhooks.families import FlowRun, PatchFamily, PatchRun, Places, check_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

    from refhooks import Branch, Context, Inputs


class KontextRun(PatchRun):
    """One run: text, target at frame 0, then the reference at frame 1."""

    def make_places(self) -> Places:
        """Return ids of frame, row and column; every token of the text is at 0, 0, 0."""
        return Places(self.grid, self.grids, self.device, frame=lambda slot: slot + 1)

    def forward(
        self, ctx: Context, branch: Branch, inputs: Inputs, hidden: Tensor, ids: Tensor
    ) -> tuple[Any, ...]:
        """Call the transformer as the stock pipeline does."""
        text, batch = inputs.text, hidden.shape[0]
        self.pipe._current_timestep = ctx.t
        own = {} if self.processors is None else {"refhooks": text.embeds.shape[1]}
        with self.pipe.transformer.cache_context(branch.name):
            made: tuple[Any, ...] = self.pipe.transformer(
                hidden_states=hidden,
                timestep=ctx.t.expand(batch).to(inputs.target.dtype) / 1000,
                guidance=self.family.embedded(self.scale, batch, self.device),
                pooled_projections=text.pooled,
                encoder_hidden_states=text.embeds,
                txt_ids=text.ids,
                img_ids=ids.to(text.embeds.dtype),
                joint_attention_kwargs=own,
                return_dict=False,
            )
        return made


class FluxKontext(PatchFamily):
    """``FluxKontextPipeline``: its guidance is an input of the model.

    A checkpoint without that input (``guidance_embeds=false``) is guided by a second pass, which
    is what the stock pipeline's ``true_cfg_scale`` does.
    """

    name: ClassVar[str] = "flux-kontext"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 1
    run: ClassVar[type[FlowRun]] = KontextRun
    stock: ClassVar[type[Any]] = FluxAttnProcessor

    @property
    def guidance_kind(self) -> Any:
        """``embedded``, or ``true`` where the transformer has no guidance among its inputs."""
        return "embedded" if self.pipe.transformer.config.guidance_embeds else "true"

    def _preferred(self, picture: Image) -> Size:
        """The size of the stock pipeline's table whose shape is nearest."""
        ratio, step = picture.width / picture.height, self.multiple
        sizes = [(abs(ratio - w / h), w, h) for w, h in stock.PREFERRED_KONTEXT_RESOLUTIONS]
        _, width, height = min(sizes)
        return Size(height // step * step, width // step * step)

    def own_size(self, picture: Image) -> Size:
        """Return that of the reference in the table.

        The stock pipeline takes 1024x1024 then, whatever the shape of the picture.
        """
        return self._preferred(picture)

    def reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return the size in the table, or the one that is said."""
        if resolution is None and self.checkpoint.reference is None:
            return self._preferred(picture)
        return super().reference_size(picture, resolution)

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        check_words(prompt, self.pipe.tokenizer_2)

    def text_positions(
        self, prompt: str, size: Size, references: Sequence[Size | None], shown: Sequence[Shown]
    ) -> tuple[int, int]:
        """Return T5's tokens of a prompt, and how many the pipeline reads."""
        del size, references, shown  # the text encoders see no picture
        most = int(self.stock_default("max_sequence_length"))
        return len(self.pipe.tokenizer_2(prompt, verbose=False).input_ids), most

    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],  # noqa: ARG002
        references: Sequence[Size | None],  # noqa: ARG002
        copies: int,
    ) -> Text:
        """Encode the prompts by T5, and each as a whole by CLIP, which reads 77 tokens of it."""
        made = self.pipe.encode_prompt(list(prompts), num_images_per_prompt=copies)
        return Text(made[0], pooled=made[1], ids=made[2])
