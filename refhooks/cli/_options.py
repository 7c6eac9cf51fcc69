"""Options that more than one command takes, by heading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from refhooks.cli._command import Option

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MODEL = "toy"
REAL_MODEL = "Qwen/Qwen-Image-Edit-2511"
OFFLOADS = ("none", "model", "group", "sequential")
QUANTIZATIONS = ("none", "int8", "fp8", "nf4")
DTYPES = ("bfloat16", "float16", "float32")


def option(heading: str, *names: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return a decorator that adds an option under a heading of the help."""
    return click.option(*names, cls=Option, heading=heading, **kwargs)


def _together(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


output_option = option(
    "Output", "-o", "--output", metavar="OUT", required=True,
    help="Where the picture goes: .png, .jpg or .webp. With -n, OUT-1 and so on.",
)  # fmt: skip

model_options = _together(
    option(
        "Model", "--model", "name", metavar="NAME",
        help=f"A folder, a Hugging Face repository such as {REAL_MODEL}, or an embedded model;"
        f" by default the embedded '{DEFAULT_MODEL}'.",
    ),
    option("Model", "--device", metavar="NAME",
           help="Such as cuda or cpu; by default the accelerator, if there is one."),
    option("Model", "--dtype", type=click.Choice(DTYPES),
           help="Precision of the weights; by default that of the files."),
    option("Model", "--offload", type=click.Choice(OFFLOADS), default="none", show_default=True,
           help="Keep the weights in main memory and move them to the accelerator one model at a"
           " time, or layer by layer, ahead of need (group) or at need (sequential): each takes"
           " less of its memory."),
    option("Model", "--quantize", type=click.Choice(QUANTIZATIONS), default="none",
           show_default=True, help="Shrink the weights while loading."),
    option("Model", "--lora", "loras", metavar="FILE[:SCALE]", multiple=True,
           help="A LoRA as a .safetensors file; may be repeated."),
)  # fmt: skip

mask_options = _together(
    option("Masks", "--mask-region", metavar="FILE|BOX", multiple=True,
           help="Where in the picture IMAGE steers the edit: what is white in a picture, or"
           " x,y,width,height in pixels or percent, such as 10%,10%,50%,50%. May be repeated: then"
           " where all of them cover."),
    option("Masks", "--mask-content", metavar="FILE|BOX", multiple=True,
           help="Which part of IMAGE is used to steer; the rest of it is hidden. May be repeated."),
    option("Masks", "--edit-mask", metavar="FILE|BOX",
           help="Where the picture may change at all; the rest of it stays as it is in IMAGE."),
    option("Masks", "--feather", metavar="PIXELS", type=float,
           help="Let these masks fade out over so many pixels of IMAGE, outside of their edges."),
    option("Masks", "--invert-masks", is_flag=True,
           help="What these masks do not cover counts instead."),
)  # fmt: skip

sampling_options = _together(
    option("Sampling", "--steps", metavar="N", type=click.IntRange(1, 1000),
           help="Denoising steps; by default the model's own number."),
    option("Sampling", "--denoise", type=float, metavar="0-1", default=1.0,
           help="How far to go back to noise; below 1 the edit starts from IMAGE itself, and keeps"
           " more of it."),
    option("Sampling", "--seed", metavar="N", type=click.IntRange(0),
           help="The same seed gives the same picture; by default a new one, which is printed."),
    option("Sampling", "-n", "count", metavar="N", type=click.IntRange(1, 4096), default=1,
           show_default=True, help="Pictures, from consecutive seeds."),
    option("Sampling", "--cfg", type=float, metavar="SCALE",
           help="Guidance: how closely to follow the prompt; 1 is off. By default the model's"
           " own."),
    option("Sampling", "--negative", metavar="TEXT", default=" ",
           help="What guidance moves away from."),
    option("Sampling", "--resolution", type=click.IntRange(1), metavar="PIXELS",
           help="Pixels of the output, width times height, in the shape of IMAGE."),
    option("Sampling", "--height", metavar="PIXELS", type=click.IntRange(1),
           help="Of the output; the width follows if it is not given."),
    option("Sampling", "--width", metavar="PIXELS", type=click.IntRange(1),
           help="Of the output; the height follows if it is not given."),
)  # fmt: skip
