"""What adapters to flow-matching models on packed latents share.

:class:`FlowFamily` and :class:`FlowRun` are :class:`refhooks.Family` and
:class:`refhooks.FamilyRun` with what such models have in common: noise from seeds, one encoded text
for each pass, grids, plain classifier-free guidance, the end of a run. An adapter adds how a prompt
and a picture are encoded, what its transformer is given, and how latents become pictures.

The module imports neither torch nor diffusers: a plugin that defines its family in its own module
is loaded with every command.
"""

from __future__ import annotations

import abc
import copy
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from refhooks._attending.joining import Joiner
from refhooks._attending.layer_hooks import LayerHooks, is_compiled
from refhooks._attending.step_caches import StepCaches, refuse_step_cache
from refhooks._core.contract.family import Family, prompted
from refhooks._core.contract.family_run import FamilyRun
from refhooks._core.contract.values import Branch
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from refhooks._base.size import Size
    from refhooks._core.contract.family import Guidance, Shown
    from refhooks._core.contract.values import Text

__all__ = [
    "FlowFamily",
    "FlowRun",
    "Joiner",
    "LayerHooks",
    "StepCaches",
    "StillPictures",
    "check_words",
    "flow_schedule",
    "is_compiled",
    "load_pipeline",
    "refuse_step_cache",
    "sizes",
    "with_own_vae",
]

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")


def flow_schedule(
    pipe: Any,
    tokens: int,
    steps: int,
    total: int | None = None,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
) -> tuple[Any, Sequence[float], Tensor]:
    """Return a private copy of a pipeline's scheduler, ready to run.

    It is built for all steps and then cut: built for the last noise levels alone, it would shift
    those again.

    Args:
        pipe: The pipeline, left as it is.
        tokens: Of the output, ``T``.
        steps: How many are run, ``N``.
        total: Steps of the full schedule, of which the last ``N`` are run; ``None``: ``N``.
        mu: The dynamic shift; ``None``: linear in ``tokens``, by the scheduler's configuration.
        sigmas: Noise levels of the full schedule before the shift, 1 → 0, without the last 0, for
            a checkpoint with fixed ones; ``None``: from 1 to ``1 / total`` in equal steps.

    Returns:
        The scheduler at its first step of the run, the noise level before each step ``[N]``, and
        the timesteps ``[N]`` on the device of the run.

    Raises:
        InputError: The scheduler is none that is supported, has no noise levels for so few steps,
            or ``sigmas`` are not as many as ``total``.
    """
    from refhooks._parts import flow_schedule as built  # noqa: PLC0415  imports diffusers

    return built.flow_schedule(pipe, tokens, steps, total or steps, mu=mu, sigmas=sigmas)


class FlowFamily(Family):
    """Adapter to a flow-matching model on packed latents.

    Attributes:
        run: The class of its runs.
    """

    run: ClassVar[type[FlowRun]]

    @property
    def blocks(self) -> int:
        """Number of transformer blocks: those of ``transformer_blocks``, and the single ones."""
        single = getattr(self.pipe.transformer, "single_transformer_blocks", ())
        return len(self.pipe.transformer.transformer_blocks) + len(single)

    @abc.abstractmethod
    def encode_texts(
        self,
        prompts: Sequence[str],
        shown: Sequence[Shown],
        references: Sequence[Size | None],
        copies: int,
    ) -> Text:
        """Return encoded prompts, each repeated ``copies`` times in a row.

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
        own_texts = prompted(self.guidance_kind, prompts, guidance)
        copies = len(seeds) // len(prompts)
        try:
            texts = {
                name: self._cast(self.encode_texts(own, shown, references, copies))
                for name, own in own_texts.items()
            }
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


class FlowRun(FamilyRun):
    """The state of one run on packed latents.

    Args:
        family: Its adapter.
        texts: The encoded prompts, by the names of the passes that read them.
        scale: Of the guidance.
        seeds: One for each picture of the batch.
        size: Of the output.
        references: Size at which the VAE encodes each reference, or ``None``.

    Attributes:
        family: As given.
        pipe: The pipeline.
        device: Of the run.
        dtype: Of the run, that of the encoded prompts, which are cast to the transformer's.
        scale: As given.
    """

    def __init__(
        self,
        family: FlowFamily,
        *,
        texts: Mapping[str, Text],
        scale: float,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
    ) -> None:
        config = family.pipe.transformer.config
        self.family: Any = family
        self.pipe: Any = family.pipe
        self.texts = texts
        self.scale = scale
        self.device = family.pipe._execution_device
        self.dtype = texts["cond"].embeds.dtype
        self.grid = family.grid(size)
        self.grids = tuple([None if entry is None else family.grid(entry) for entry in references])
        self.heads = config.num_attention_heads
        self.width = config.num_attention_heads * config.attention_head_dim
        self.branches = tuple(Branch(name, text=name) for name in texts)
        self.noise = self.draw(seeds)

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """Return the shape in which the stock pipeline draws noise.

        By default ``[B,C,rows,columns]``, with the ``C`` of the transformer.
        """
        return (batch, self.pipe.transformer.config.in_channels, *self.grid)

    def pack(self, latents: Tensor) -> Tensor:
        """Return drawn or encoded latents as tokens ``[B,T,C]``, row by row.

        By default the last two axes are rows and columns, and the second ``C``.
        """
        return latents.flatten(-2).reshape(latents.shape[0], latents.shape[1], -1).transpose(1, 2)

    def draw(self, seeds: Sequence[int]) -> Tensor:
        """Return the noise of each seed, ``[B,T,C]``, from generators on the CPU."""
        import torch  # noqa: PLC0415  plugins load without it
        from diffusers.utils.torch_utils import randn_tensor  # noqa: PLC0415

        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        shape = self.noise_shape(len(seeds))
        return self.pack(
            randn_tensor(shape, generator=generators, device=self.device, dtype=self.dtype)
        )

    def guide(self, predictions: Mapping[str, Tensor]) -> Tensor:
        """Plain classifier-free guidance, ``u + scale·(c − u)``, where there are two passes."""
        cond, uncond = predictions["cond"], predictions.get("uncond")
        return cond if uncond is None else uncond + self.scale * (cond - uncond)

    def close(self) -> None:
        """Let an offloaded pipeline go back to rest."""
        self.pipe._current_timestep = None
        self.pipe.maybe_free_model_hooks()


def check_words(prompt: str, tokenizer: Any) -> None:
    """Refuse a prompt that holds a control token of a tokenizer, for ``Family.check_prompt``.

    Raises:
        InputError: It does.
    """
    for token in sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}):
        if token in prompt:
            raise InputError(
                f"a prompt holds {token!r}, a control token of the model; leave it out"
            )


def with_own_vae(pipe: Any) -> Any:
    """Return a view of a pipeline, with the same weights, for one call of its VAE.

    diffusers' VAEs for frames keep on themselves what they computed of the frame before, while they
    run: a call of another thread would be given it.
    """
    view = copy.copy(pipe)
    vars(view)["vae"] = copy.copy(pipe.vae)
    return view


def sizes(config: Mapping[str, Any] | None, full: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes that a transformer's configuration states, for a family's ``ModelShape``.

    Args:
        config: The configuration; ``None``: that of the released checkpoints.
        full: The sizes of those, which also stand for what ``config`` leaves out.
    """
    return {name: (config or {}).get(name) or size for name, size in full.items()}


class StillPictures:
    """What makes a processor of ``transformers`` one for still pictures alone.

    The stock classes insist on a video processor, which needs torchvision; edits show no videos. It
    is the first of the bases, before the stock class.

    Attributes:
        marks: Tokens by what they stand for: ``image`` is ``image_token`` and ``image_token_id``.
    """

    marks: ClassVar[Mapping[str, str]] = {"image": "<|image_pad|>", "video": "<|video_pad|>"}

    @classmethod
    def get_attributes(cls) -> list[str]:
        """Name the parts: no video processor."""
        return ["image_processor", "tokenizer"]

    @staticmethod
    def image_processor_class() -> Any:
        """Return Qwen's image processor of PIL and numpy, which needs no torchvision.

        It is ``Qwen2VLImageProcessorPil`` since transformers 5.4, and was ``Qwen2VLImageProcessor``
        before, a name that now is torchvision's.
        """
        if importlib.util.find_spec("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl"):
            from transformers.models.qwen2_vl import (  # noqa: PLC0415  a second
                image_processing_pil_qwen2_vl as pil,
            )

            return pil.Qwen2VLImageProcessorPil
        from transformers.models.qwen2_vl import image_processing_qwen2_vl  # noqa: PLC0415

        return image_processing_qwen2_vl.Qwen2VLImageProcessor

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None
    ) -> None:
        from transformers.processing_utils import ProcessorMixin  # noqa: PLC0415  a second

        for name, token in self.marks.items():
            setattr(self, f"{name}_token", token)
            setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_pipeline(pipeline: Any, name_or_path: str, processor: Any, **kwargs: Any) -> Any:
    """Load a pipeline of a Qwen text encoder, with another processor if torchvision is missing.

    Args:
        pipeline: Its class.
        name_or_path: Repository or folder.
        processor: The class to use then, on :class:`StillPictures`; it is given an image processor,
            a tokenizer and the tokenizer's ``chat_template``.
        kwargs: As for ``pipeline.from_pretrained``.
    """
    kwargs.setdefault("use_safetensors", True)  # other formats can run code when they are read
    if "processor" not in kwargs and importlib.util.find_spec("torchvision") is None:
        hub = {option: kwargs[option] for option in _HUB_OPTIONS if option in kwargs}
        kwargs["processor"] = _load_processor(processor, name_or_path, hub)
    return pipeline.from_pretrained(name_or_path, **kwargs)


def _load_processor(processor: Any, name_or_path: str, hub: dict[str, Any]) -> Any:
    from transformers import Qwen2Tokenizer  # noqa: PLC0415  plugins load without it

    folder = Path(name_or_path)
    place = (folder / "processor",) if folder.is_dir() else (name_or_path,)
    options = {} if folder.is_dir() else {"subfolder": "processor", **hub}
    tokenizer = Qwen2Tokenizer.from_pretrained(*place, **options)
    images = StillPictures.image_processor_class().from_pretrained(*place, **options)
    return processor(images, tokenizer, chat_template=tokenizer.chat_template)
