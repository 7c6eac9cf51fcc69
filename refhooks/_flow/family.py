"""The adapter to a flow-matching model on packed latents."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar

import attrs

from refhooks._core.contract.family import Family, prompted
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from PIL.Image import Image
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Guidance, Shown
    from refhooks._core.contract.values import Text
    from refhooks._flow.run import FlowRun

__all__ = ["FlowFamily"]


class FlowFamily(Family):
    """Adapter to a flow-matching model on packed latents.

    Attributes:
        run: The class of its runs.
    """

    run: ClassVar[type[FlowRun]]
    fixed_encodings: ClassVar[bool] = True
    takes_scales: ClassVar[bool] = True

    @property
    def blocks(self) -> int:
        """Number of transformer blocks: those of ``transformer_blocks``, and the single ones."""
        single = getattr(self.pipe.transformer, "single_transformer_blocks", ())
        return len(self.pipe.transformer.transformer_blocks) + len(single)

    @property
    def rope_axes(self) -> tuple[int, ...] | None:
        """What the transformer's configuration calls ``axes_dims_rope``."""
        axes = getattr(self.pipe.transformer.config, "axes_dims_rope", None)
        return None if axes is None else tuple(axes)

    @property
    def token_bytes(self) -> int | None:
        """Keys and values: the transformer's width, in the dtype of the run."""
        config = self.pipe.transformer.config
        dtype = self.dtype or getattr(getattr(self.pipe, "text_encoder", None), "dtype", None)
        if dtype is None:
            return None
        width = int(config.num_attention_heads * config.attention_head_dim)
        return 2 * self.blocks * width * int(dtype.itemsize)

    def embedded(self, scale: float, batch: int, device: torch.device) -> Tensor | None:
        """Return the guidance that is an input of the model, ``[B]`` in float32.

        Args:
            scale: Of the guidance.
            batch: ``B``.
            device: Of the run.

        Returns:
            ``None`` where ``guidance_kind`` is another.
        """
        import torch  # noqa: PLC0415  plugins load without it

        if self.guidance_kind != "embedded":
            return None
        return torch.full([1], scale, device=device, dtype=torch.float32).expand(batch)

    def check_model(self) -> None:
        """Refuse what was put on the model that no run can do with, before anything is encoded.

        Raises:
            InputError: Such as a step cache on a model that keeps keys and values itself; see
                :func:`refhooks.families.refuse_step_cache`.
        """

    def own_size(self, picture: Image) -> Size | None:  # noqa: ARG002
        """Return the output's size for a picture where nothing says one; ``None``: by its area."""
        return None

    def output_size(
        self,
        picture: Image | None,
        height: int | None,
        width: int | None,
        resolution: int | str | None,
    ) -> Size:
        """Return the output's size; where nothing says one, what :meth:`own_size` does."""
        stated = (height, width, resolution, self.checkpoint.output)
        if picture is not None and all(value is None for value in stated):
            own = self.own_size(picture)
            if own is not None:
                return own
        return super().output_size(picture, height, width, resolution)

    @abc.abstractmethod
    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],
        copies: int,
    ) -> Text:
        """Return encoded prompts, each repeated ``copies`` times in a row.

        An editor keeps what it returned for the same arguments, as long as the pipeline's parts
        are what they were; with ``fixed_encodings = False`` it is asked each time.

        Args:
            prompts: One or more.
            shown: The pictures that the text encoder sees.
            references: As for :meth:`refhooks.Family.open`.
            copies: Pictures that are made of each prompt.
        """

    @property
    def dtype(self) -> torch.dtype | None:
        """Of a run: the one that the transformer computes in; ``None``: that of the prompts.

        A model whose weights rest in another dtype (layerwise casting, GGUF) says it itself.
        """
        model = self.transformer
        own = getattr(getattr(model, "hf_quantizer", None), "compute_dtype", None)
        dtype = own or getattr(model, "dtype", None)
        usable = dtype is not None and dtype.is_floating_point and dtype.itemsize > 1
        return dtype if usable else None

    def text_positions(
        self,
        prompt: str,  # noqa: ARG002
        size: Size,  # noqa: ARG002
        references: Sequence[Size | None],  # noqa: ARG002
        shown: Sequence[Shown],  # noqa: ARG002
    ) -> tuple[int, int] | None:
        """Return how many tokens of text a prompt comes to, and how many the transformer takes.

        Asked when an edit is planned: nothing is to be encoded.

        Args:
            prompt: As the user gave it; the template and the pictures that are shown count.
            size: Of the output.
            references: As for :meth:`refhooks.Family.open`.
            shown: Likewise.

        Returns:
            Both numbers; ``None``, as by default: any number.
        """
        return None

    def check_texts(
        self,
        prompted: Mapping[str, Sequence[str]],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> None:
        """Refuse prompts of more tokens than :meth:`text_positions` says there is room for."""
        for name, prompts in prompted.items():
            for prompt in prompts:
                tokens, room = self.text_positions(prompt, size, references, shown) or (0, 0)
                if tokens > room:
                    which = "the negative prompt" if name == "uncond" else "the prompt"
                    raise InputError(
                        f"{which} comes to {tokens} tokens with its template and the pictures that"
                        f" it shows, but beside the pictures of this edit the model has positions"
                        f" for {room}; shorten it, or give fewer or smaller pictures"
                    )

    def open(
        self,
        *,
        prompts: Sequence[str],
        guidance: Guidance,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> FlowRun:
        """Encode the prompts, with true guidance also the negative ones, and draw the noise."""
        from refhooks._parts.encodings import kept_texts  # noqa: PLC0415  plugins load without torch

        self.check_model()
        own_texts = prompted(self.guidance_kind, prompts, guidance)
        copies = len(seeds) // len(prompts)
        rest = (tuple(references), copies)
        try:
            texts = kept_texts(
                self, own_texts, shown, rest,
                lambda own: self._cast(self.encode_texts(own, shown, references, copies)),
            )  # fmt: skip
            return self.run(
                self, texts=texts, scale=guidance.scale, seeds=seeds, size=size,
                references=references,
            )  # fmt: skip
        except BaseException:
            self.pipe.maybe_free_model_hooks()  # an offloaded text encoder goes back to rest
            raise

    def _cast(self, text: Text) -> Text:
        """A text encoder may run in another dtype; under torch.autocast all is as stock has it."""
        import torch  # noqa: PLC0415  plugins load without it

        if self.dtype is None or torch.is_autocast_enabled(self.pipe._execution_device.type):
            return text
        pooled = None if text.pooled is None else text.pooled.to(self.dtype)
        return attrs.evolve(text, embeds=text.embeds.to(self.dtype), pooled=pooled)
