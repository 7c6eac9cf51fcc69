"""The two Qwen-Image-Edit families, made for a loaded pipeline."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as stock_plus

from refhooks import Checkpoint, Family, Guidance, InputError, ModelError, Shown, Size
from refhooks_qwen import _text
from refhooks_qwen._processor import load_pipeline
from refhooks_qwen._run import QwenRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from torch import Tensor

_REFUSED_OPTIONS = {
    "invert_sigmas": "it turns the noise levels around, which no Qwen model was trained with",
    "stochastic_sampling": "it draws from the global random state, so a seed is no picture",
}


class QwenImageEdit(Family):
    """``QwenImageEditPipeline``: one reference, which the text encoder sees at the VAE's size."""

    name: ClassVar[str] = "qwen-image-edit"
    native: ClassVar[str] = "default"
    max_references: ClassVar[int] = 1
    input_projection: ClassVar[str | None] = "img_in"

    def __init__(self, pipe: Any, checkpoint: Checkpoint) -> None:
        self._pipe = pipe
        self._checkpoint = checkpoint
        if pipe.transformer.config.guidance_embeds:
            raise ModelError(
                f"{type(pipe).__name__} with a guidance-distilled transformer (guidance_embeds) is"
                " not supported; use a checkpoint with true CFG"
            )

    @classmethod
    def load(cls, pipeline: Any, name_or_path: str, **kwargs: Any) -> Any:
        """Load the pipeline, also where torchvision is not installed."""
        return load_pipeline(pipeline, name_or_path, **kwargs)

    @property
    def transformer(self) -> torch.nn.Module:
        """The ``QwenImageTransformer2DModel``."""
        return self._pipe.transformer  # type: ignore[no-any-return]

    @property
    def blocks(self) -> int:
        """Number of transformer blocks."""
        return len(self._pipe.transformer.transformer_blocks)

    @property
    def default_steps(self) -> int:
        """The checkpoint's number of steps, else the stock pipeline's."""
        return self._checkpoint.steps or int(self._stock_default("num_inference_steps"))

    @property
    def default_cfg(self) -> float:
        """The checkpoint's guidance scale, else the stock pipeline's."""
        cfg = self._checkpoint.cfg
        return float(self._stock_default("true_cfg_scale")) if cfg is None else cfg

    def output_size(
        self, picture: Image | None, height: int | None, width: int | None, resolution: int | None
    ) -> Size:
        """Return the size given, or one of ``resolution`` pixels in the shape of the picture."""
        ratio = 1.0 if picture is None else picture.width / picture.height
        multiple = self._multiple
        for name, value in (("height", height), ("width", width)):
            if value is not None and value % multiple:
                near = max(multiple, round(value / multiple) * multiple)
                raise InputError(
                    f"{name} must be a multiple of {multiple}, got {value}; try {near}"
                )
        if height is not None and width is not None:
            return Size(height, width)
        if height is not None:
            return Size(height, _nearest(height * ratio, multiple))
        if width is not None:
            return Size(_nearest(width / ratio, multiple), width)
        return _of_area(resolution or self._checkpoint.output or self._reference_area(), ratio)

    def reference_size(self, picture: Image, resolution: int | str | None) -> Size:
        """Return the size at which the VAE encodes a reference."""
        if resolution == "native":
            return Size(
                _nearest(picture.height, self._multiple), _nearest(picture.width, self._multiple)
            )
        area = resolution if isinstance(resolution, int) else None
        return _of_area(
            area or self._checkpoint.reference or self._reference_area(),
            picture.width / picture.height,
        )

    def check_prompt(self, prompt: str) -> None:
        """Refuse the tokenizer's control tokens."""
        tokenizer = self._pipe.tokenizer
        for token in sorted({*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}):
            if token in prompt:
                raise InputError(
                    f"a prompt holds {token!r}, a control token of the model; leave it out"
                )

    def schedule(
        self, steps: int, size: Size, total: int | None = None
    ) -> tuple[Any, Sequence[float], Tensor]:
        """Return a copy of the pipeline's scheduler, shifted for the output's size.

        It is built for all steps and then cut: built for the last noise levels alone, it would
        shift those again.
        """
        total = steps if total is None else total
        scheduler = copy.deepcopy(self._pipe.scheduler)
        _check_scheduler(scheduler)
        grid = self.grid(size)
        mu = stock_plus.calculate_shift(
            grid[0] * grid[1],
            scheduler.config.get("base_image_seq_len", 256),
            scheduler.config.get("max_image_seq_len", 4096),
            scheduler.config.get("base_shift", 0.5),
            scheduler.config.get("max_shift", 1.15),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            scheduler.set_timesteps(
                sigmas=np.linspace(1.0, 1 / total, total),
                device=self._pipe._execution_device,
                mu=mu,
            )
        scheduler.set_begin_index(total - steps)
        sigmas = scheduler.sigmas[total - steps : -1].tolist()
        if not np.isfinite(sigmas).all():
            raise InputError(
                f"the scheduler has no noise levels for {total} step(s): with shift_terminal it"
                " needs at least 2"
            )
        return scheduler, sigmas, scheduler.timesteps[total - steps :]

    def decode(self, latents: Tensor, size: Size) -> Tensor:
        """Return the pictures ``[B,3,height,width]``, 0–1."""
        pipe = self._pipe
        latents = pipe._unpack_latents(latents, size.height, size.width, pipe.vae_scale_factor)
        latents = latents.to(pipe.vae.dtype)  # [B,C/4,1,h/f,w/f]
        mean, deviation = (
            torch.tensor(values).view(1, -1, 1, 1, 1).to(latents.device, latents.dtype)
            for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
        )
        inverse = 1.0 / deviation
        pixels = pipe.vae.decode(latents / inverse + mean, return_dict=False)[0][:, :, 0]
        return pipe.image_processor.postprocess(pixels, output_type="pt")  # type: ignore[no-any-return]

    def open(
        self,
        *,
        prompts: Sequence[str],
        guidance: Guidance,
        seeds: Sequence[int],
        size: Size,
        references: Sequence[Size | None],
        shown: Sequence[Shown],
    ) -> QwenRun:
        """Encode the prompts and draw the noise."""
        copies = len(seeds) // len(prompts)
        try:
            texts = {"cond": self._encode_text(prompts, shown, copies)}
            if guidance.scale > 1:
                texts["uncond"] = self._encode_text(guidance.negative, shown, copies)
        except BaseException:
            self._pipe.maybe_free_model_hooks()  # an offloaded text encoder goes back to rest
            raise
        return QwenRun(
            pipe=self._pipe,
            texts=texts,
            cfg=guidance.scale,
            seeds=seeds,
            grid=self.grid(size),
            grids=tuple(None if entry is None else self.grid(entry) for entry in references),
        )

    def grid(self, size: Size) -> tuple[int, int]:
        """Return the rows and columns of tokens of a picture of this size."""
        return size.height // self._multiple, size.width // self._multiple

    def _encode_text(self, prompts: Sequence[str], shown: Sequence[Shown], copies: int) -> Any:
        template = self._template([entry.number for entry in shown])
        seen = [[self._seen(picture) for picture in entry.pictures] for entry in shown]
        pictures = [
            [each[place] if len(each) > 1 else each[0] for each in seen]
            for place in range(len(prompts))
        ]
        return _text.encode(self._pipe, [template.format(p) for p in prompts], pictures, copies)

    def _template(self, numbers: Sequence[int]) -> str:
        template = str(self._pipe.prompt_template_encode)
        return template if numbers else template.replace(_text.PLACEHOLDER, "")

    def _seen(self, picture: Image) -> Image:
        """The picture as the text encoder is given it."""
        area = self._checkpoint.vision or self._checkpoint.reference or self._reference_area()
        size = _of_area(area, picture.width / picture.height)
        return self._pipe.image_processor.resize(picture, size.height, size.width)  # type: ignore[no-any-return]

    def _reference_area(self) -> int:
        """The stock pipeline writes this number out in its ``__call__``."""
        return 1024 * 1024

    @property
    def _multiple(self) -> int:
        return int(self._pipe.vae_scale_factor * 2)

    def _stock_default(self, argument: str) -> Any:
        return inspect.signature(type(self._pipe).__call__).parameters[argument].default


class QwenImageEditPlus(QwenImageEdit):
    """``QwenImageEditPlusPipeline``: up to three references, each ``Picture n`` of the prompt."""

    name: ClassVar[str] = "qwen-image-edit-plus"
    max_references: ClassVar[int] = 3

    def _template(self, numbers: Sequence[int]) -> str:
        named = "".join(f"Picture {number}: {_text.PLACEHOLDER}" for number in numbers)
        return str(self._pipe.prompt_template_encode).replace("{}", named + "{}")

    def _seen(self, picture: Image) -> Image:
        area = self._checkpoint.vision or stock_plus.CONDITION_IMAGE_SIZE
        size = _of_area(area, picture.width / picture.height)
        return self._pipe.image_processor.resize(picture, size.height, size.width)  # type: ignore[no-any-return]

    def _reference_area(self) -> int:
        return int(stock_plus.VAE_IMAGE_SIZE)


def _of_area(area: int, ratio: float) -> Size:
    """A size of about ``area`` pixels, in the stock pipeline's steps of 32."""
    width, height = stock_plus.calculate_dimensions(area, ratio)
    return Size(height=max(32, int(height)), width=max(32, int(width)))


def _nearest(length: float, multiple: int) -> int:
    return max(multiple, round(length / multiple) * multiple)


def _check_scheduler(scheduler: Any) -> None:
    if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        raise InputError(
            f"the scheduler {type(scheduler).__name__} is not supported;"
            " use FlowMatchEulerDiscreteScheduler"
        )
    for option, reason in _REFUSED_OPTIONS.items():
        if scheduler.config.get(option):
            raise InputError(f"the scheduler's {option} is not supported: {reason}")
