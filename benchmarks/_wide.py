"""What the speed benchmarks share: wide models of the real class, timing, and measured bounds.

The transformer is ``QwenImageTransformer2DModel`` with the configuration of Qwen-Image-Edit (width
3072 in 24 heads of 128, 64 latent channels, text of width 3584), random weights, and as many blocks
as the machine bears. The text encoder and the VAE around it cost next to nothing: the first gives
random embeddings of a fixed number of tokens, the second is tiny, but makes a picture 8 times
smaller like the real one, so that a token is 16 by 16 pixels.

Times are seconds of a denoising step: from the first call of the transformer to the end of the last
step, over the number of steps. Every case of a table is run in turn, in an order that rotates.
"""

from __future__ import annotations

import contextlib
import gc
import time
from typing import TYPE_CHECKING, Any, Self

import attrs
import torch
from _standins import Processor, TextEncoder
from _timing import environment, interleaved, once, over, spread, synchronise, write_json
from _watch import Watch
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from diffusers.models.transformers import transformer_qwenimage
from diffusers.models.transformers.transformer_qwenimage import QwenEmbedRope
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as stock_plus

import refhooks as rh
from refhooks.batch import Job, edit_batch
from refhooks.testing._tiny import DYNAMIC, picture, tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


__all__ = [
    "DTYPES", "HEAD", "HEADS", "PIXELS", "PROMPT", "STEPS", "Bench", "Scale", "add_options",
    "build", "environment", "interleaved", "once", "over", "parameters", "scale_of", "spread",
    "stock_areas", "synchronise", "write_json",
]  # fmt: skip

HEADS, HEAD = 24, 128
PIXELS = 16  # of a token's side
ROW = 2048  # half of it, and then the text, must fit into the embedding's 4096 positions
STEPS = 2  # the released scheduler configuration needs as many
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PROMPT = "make it night"


@attrs.frozen(kw_only=True)
class Scale:
    """How large a model and its inputs are.

    Attributes:
        blocks: Number of transformer blocks; 60 in Qwen-Image-Edit.
        side: Rows and columns of tokens of the output and of each reference; 64 at 1 MP.
        text: Tokens of the prompt, pictures in it included.
        heads: 24 in Qwen-Image-Edit.
        head: Head size; 128 in Qwen-Image-Edit.
        dtype: ``float32`` or ``bfloat16``.
        device: Such as ``cpu`` or ``cuda``.
    """

    blocks: int
    side: int
    text: int = 512
    heads: int = HEADS
    head: int = HEAD
    dtype: str = "float32"
    device: str = "cpu"

    @property
    def tokens(self) -> int:
        """Tokens of the output, and of each reference."""
        return self.side**2

    @property
    def width(self) -> int:
        """Of the transformer."""
        return self.heads * self.head

    @property
    def area(self) -> int:
        """Pixels of the output, and of each reference."""
        return self.tokens * PIXELS**2


def add_options(parser: Any, *, blocks: int, side: int, text: int) -> None:
    """Add the options that make a :class:`Scale`."""
    parser.add_argument("--blocks", type=int, default=blocks)
    parser.add_argument("--side", type=int, default=side, help="rows and columns of tokens")
    parser.add_argument("--text", type=int, default=text, help="tokens of the prompt")
    parser.add_argument("--heads", type=int, default=HEADS)
    parser.add_argument("--head", type=int, default=HEAD, help="head size")
    parser.add_argument("--dtype", choices=list(DTYPES), default="float32")
    parser.add_argument("--device", default="cpu")


def scale_of(arguments: Any) -> Scale:
    """Return what the options of :func:`add_options` say."""
    return Scale(**{field.name: getattr(arguments, field.name) for field in attrs.fields(Scale)})


def build(scale: Scale, **config: Any) -> Any:
    """Return a pipeline with random weights.

    Args:
        scale: Its size.
        **config: Of the transformer, such as ``zero_cond_t=True``.
    """
    transformer = _transformer(scale, config)
    vae = AutoencoderKLQwenImage(
        base_dim=8, z_dim=16, dim_mult=[1, 1, 2, 2], num_res_blocks=1,
        temperal_downsample=[False] * 3, latents_mean=[0.0] * 16, latents_std=[1.0] * 16,
    )  # fmt: skip
    dtype = DTYPES[scale.dtype]
    pipe = QwenImageEditPlusPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**DYNAMIC),
        vae=vae.eval().to(scale.device, dtype), text_encoder=None, tokenizer=tokenizer(),
        processor=None, transformer=transformer,
    )  # fmt: skip
    width = transformer.config.joint_attention_dim
    pipe.text_encoder = TextEncoder(width, dtype).to(scale.device)
    pipe.processor = Processor(scale.text)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _transformer(scale: Scale, config: Mapping[str, Any]) -> Any:
    """Made without memory first: PyTorch's own random weights take minutes at full size."""
    plane = scale.head * 7 // 32 * 2  # 56 of 128 channels for rows, and for columns
    axes = (scale.head - 2 * plane, plane, plane)
    with torch.device("meta"):
        made = QwenImageTransformer2DModel(
            num_layers=scale.blocks, num_attention_heads=scale.heads,
            attention_head_dim=scale.head, axes_dims_rope=axes, **config,
        )  # fmt: skip
    made = made.to(DTYPES[scale.dtype]).to_empty(device=scale.device)
    made.pos_embed = QwenEmbedRope(theta=10000, axes_dim=list(axes), scale_rope=True)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:  # biases, and the scales of norms
                parameter.zero_()
            else:
                parameter.normal_(std=0.02)
        for name, parameter in made.named_parameters():
            if name.endswith("weight") and parameter.ndim == 1:
                parameter.fill_(1.0)
    return made.eval()


def parameters(module: torch.nn.Module) -> int:
    """Return how many weights a model has."""
    return sum(parameter.numel() for parameter in module.parameters())


class Bench:
    """A wide model, run by the stock pipeline and by the editor.

    Args:
        scale: Its size, and that of the pictures.
        pipe: What :func:`build` made before; ``None``: a new one.
        **config: Of the transformer.

    Attributes:
        scale: As given.
        pipe: The pipeline.
        editor: An editor on it, at the scale's size and without guidance.
        shape: The model's size, as :func:`refhooks.cost` takes it.
        pictures: Four of them.
        seen: Image tokens that the transformer was given at the first step of the last run.
        timer: What tells the time.
        peak_bytes: Set to 0, it becomes the most that lived at once in the steps of the next run,
            beside what was there before them; ``None``: not measured.
    """

    def __init__(self, scale: Scale, pipe: Any = None, **config: Any) -> None:
        self.scale = scale
        self.pipe = build(scale, **config) if pipe is None else pipe
        area = scale.area
        checkpoint = rh.Checkpoint(output=area, reference=area, vision=64 * 64, cfg=1.0)
        self.editor = rh.Editor(self.pipe, checkpoint=checkpoint)
        self.pixels = scale.side * PIXELS
        self.pictures = [picture(seed, (self.pixels, self.pixels)) for seed in range(4)]
        stated = self.editor.registry.families[self.editor.family.name].shape
        self.shape = attrs.evolve(
            stated(self.pipe.transformer.config), dtype=scale.dtype, text=scale.text, passes=1,
            target=scale.tokens, reference=scale.tokens,
        )  # fmt: skip
        self.seen = 0
        self.timer = time.perf_counter
        self.peak_bytes: int | None = None

    def at(self, side: int) -> Bench:
        """Return the same model with pictures of another size."""
        return Bench(attrs.evolve(self.scale, side=side), self.pipe)

    def stock(self, references: int, steps: int = STEPS) -> float:
        """Return the seconds of a step of the stock pipeline with so many references."""
        with _Clock(self, steps) as clock, stock_areas(self.scale.area):
            self.pipe(
                image=self.pictures[:references], prompt=PROMPT, true_cfg_scale=1.0,
                num_inference_steps=steps, generator=torch.Generator().manual_seed(0),
                height=self.pixels, width=self.pixels, output_type="latent",
                callback_on_step_end=lambda _pipe, _index, _t, held: clock.stepped() or held,
            )  # fmt: skip
        return clock.seconds

    def edit(
        self, strategies: Sequence[rh.Strategy | rh.Stage | str | None], steps: int = STEPS,
        **arguments: Any,
    ) -> float:  # fmt: skip
        """Return the seconds of a step of an edit with one reference a strategy."""
        references = [
            rh.Reference(image, strategy)
            for image, strategy in zip(self.pictures[1:], strategies[1:], strict=False)
        ]
        with _Clock(self, steps) as clock:
            self.editor.edit(
                self.pictures[0], PROMPT, strategy=strategies[0], references=references,
                steps=steps, seed=0, height=self.pixels, width=self.pixels,
                callback=lambda *_: clock.stepped(), **arguments,
            )  # fmt: skip
        return clock.seconds

    def together(self, jobs: int, steps: int = STEPS) -> float:
        """Return the seconds of a step of so many jobs in one pass, one reference each."""
        held = [Job(self.pictures[it % 4], PROMPT, seed=it) for it in range(jobs)]
        with _Clock(self, steps) as clock:
            edit_batch(
                self.editor, held, steps=steps, height=self.pixels, width=self.pixels,
                callback=lambda *_: clock.stepped(),
            )  # fmt: skip
        return clock.seconds

    def transformer_seconds(self, image: int) -> float:
        """Return the seconds of one stock forward pass over so many image tokens."""
        return once(self.scale.device, lambda: self._forward(image))

    def linear_seconds(self, image: int) -> float:
        """Return the seconds of all but attention in a forward pass over so many image tokens."""
        with _without_attention():
            return self.transformer_seconds(image)

    def attention_seconds(self, queries: int, keys: int) -> float:
        """Return the seconds of all blocks' stock attention between so many tokens, text included.

        The text stands among both.
        """
        scale = self.scale
        options = {"dtype": DTYPES[scale.dtype], "device": scale.device}
        query = torch.randn(1, queries, scale.heads, scale.head, **options)
        key, value = (torch.randn(1, keys, scale.heads, scale.head, **options) for _ in range(2))

        def attend() -> None:
            for _ in range(scale.blocks):
                transformer_qwenimage.dispatch_attention_fn(query, key, value)

        with torch.no_grad():
            return once(scale.device, attend)

    def predicted(self, strategies: Sequence[Any], steps: int = STEPS, **arguments: Any) -> rh.Cost:
        """Return what such an edit should cost, in operations."""
        references = [rh.Reference("", strategy) for strategy in strategies]
        return rh.cost(references, steps, shape=self.shape, **arguments)

    def peak(self, run: Callable[[], float]) -> int:
        """Return the most bytes that lived at once in a run's steps, as its ``peak_bytes`` says.

        On CUDA as the allocator counts; on a CPU of the tensors that operators made, without what
        they need inside themselves.
        """
        self.peak_bytes = 0
        try:
            run()
            return self.peak_bytes
        finally:
            self.peak_bytes = None

    def _forward(self, image: int) -> None:
        scale = self.scale
        options = {"dtype": DTYPES[scale.dtype], "device": scale.device}
        width = self.pipe.transformer.config.joint_attention_dim
        with torch.no_grad():
            self.pipe.transformer(
                hidden_states=torch.randn(1, image, 64, **options),
                encoder_hidden_states=torch.randn(1, scale.text, width, **options),
                timestep=torch.ones(1, **options), img_shapes=[_rows(image)],
                return_dict=False,
            )  # fmt: skip


def _rows(tokens: int) -> list[tuple[int, int, int]]:
    """Shapes of pictures that hold so many tokens, none longer than the embedding has positions."""
    return [(1, 1, min(ROW, tokens - start)) for start in range(0, tokens, ROW)]


class _Clock:
    """Times the steps of a run, and notes how many tokens the transformer was given."""

    def __init__(self, bench: Bench, steps: int) -> None:
        self._bench, self._steps = bench, steps
        self._start = self._stop = 0.0
        self._stepped = 0
        self._watch = Watch(large=1)
        self._before = 0

    def __enter__(self) -> Self:
        gc.disable()  # it would stop a step of one case, and not of another
        self._handle = self._bench.pipe.transformer.register_forward_pre_hook(
            self._called, with_kwargs=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()
        gc.enable()

    def _called(self, _module: Any, _args: Any, kwargs: Any) -> None:
        if not self._start:
            synchronise(self._bench.scale.device)
            self._bench.seen = kwargs["hidden_states"].shape[1]
            if self._bench.peak_bytes is not None:
                self._watch_memory()
            self._start = self._bench.timer()

    def stepped(self) -> None:
        self._stepped += 1
        if self._stepped == self._steps:
            synchronise(self._bench.scale.device)
            self._stop = self._bench.timer()
            if self._bench.peak_bytes is not None:
                self._bench.peak_bytes = self._peak()

    @property
    def _on_cuda(self) -> bool:
        return self._bench.scale.device.startswith("cuda")

    def _watch_memory(self) -> None:
        if self._on_cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            self._watch.__enter__()

    def _peak(self) -> int:
        if self._on_cuda:
            return int(torch.cuda.max_memory_allocated()) - self._before
        self._watch.__exit__(None, None, None)
        return self._watch.peak

    @property
    def seconds(self) -> float:
        """Of a step."""
        return (self._stop - self._start) / self._steps


@contextlib.contextmanager
def stock_areas(area: int) -> Iterator[None]:
    """The stock pipeline resizes every reference to an area that it writes out."""
    stock = stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE
    stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE = area, 64 * 64
    try:
        yield
    finally:
        stock_plus.VAE_IMAGE_SIZE, stock_plus.CONDITION_IMAGE_SIZE = stock


@contextlib.contextmanager
def _without_attention() -> Iterator[None]:
    """The stock model, whose attention returns its queries."""
    stock = transformer_qwenimage.dispatch_attention_fn
    transformer_qwenimage.dispatch_attention_fn = lambda query, *_, **__: query
    try:
        yield
    finally:
        transformer_qwenimage.dispatch_attention_fn = stock
