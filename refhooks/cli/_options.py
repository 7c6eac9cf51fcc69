"""Options that more than one command takes, by heading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from refhooks._apps.chains.chain import HANDOVERS
from refhooks._base.scales import parsed
from refhooks._core.planning.bounds import MAX_STEPS
from refhooks.cli import _completion as completing
from refhooks.cli._command import Option

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_MODEL = "toy"
REAL_MODEL = "Qwen/Qwen-Image-Edit-2511"
OFFLOADS = ("none", "model", "group", "sequential")
QUANTIZATIONS = ("none", "int8", "fp8", "nf4")
DTYPES = ("bfloat16", "float16", "float32")


class _Resolution(click.ParamType):  # type: ignore[type-arg]
    """A pixel area, or ``native``."""

    name = "resolution"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return an area as a number."""
        if value == "native":
            return value
        try:
            return click.IntRange(1).convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message} Or give 'native'.", param, ctx)


class Scales(click.ParamType):  # type: ignore[type-arg]
    """A number, or scales over the steps, which are checked with the rest of the edit."""

    name = "scale"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:  # noqa: ARG002  click's
        """Return a number where it is one."""
        return parsed(value) if isinstance(value, str) else value


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
    "Output", "-o", "--output", metavar="OUT", required=True, shell_complete=completing.files,
    help="Where the picture goes: .png, .jpg or .webp. With -n, OUT-1 and so on.",
)  # fmt: skip

metadata_option = option(
    "Output", "--metadata", type=click.Choice(("drop", "keep")), default="drop", show_default=True,
    help="What else IMAGE's file says, beside its pixels: keep carries its text, EXIF (turned"
    " upright, without the thumbnail) and XMP on, as far as the format of OUT holds them.",
)  # fmt: skip

transformer_option = option(
    "Model", "--transformer", metavar="FILE", shell_complete=completing.files,
    help="A single file with the transformer of --model, .safetensors or .gguf: plain, scaled fp8"
    " or int8, or quantised as GGUF has it. All else comes from --model.",
)  # fmt: skip

model_options = _together(
    option(
        "Model", "--model", "name", metavar="NAME", shell_complete=completing.models,
        help=f"A folder, a Hugging Face repository such as {REAL_MODEL}, or an embedded model;"
        f" by default the embedded '{DEFAULT_MODEL}'.",
    ),
    transformer_option,
    option("Model", "--device", metavar="NAME",
           help="Such as cuda or cpu; by default the accelerator, if there is one."),
    option("Model", "--dtype", type=click.Choice(DTYPES),
           help="Precision of the weights; by default that of the files."),
    option("Model", "--offload", type=click.Choice(OFFLOADS), default="none", show_default=True,
           help="Keep the weights in main memory and move them to the accelerator one model at a"
           " time, or layer by layer, ahead of need (group) or at need (sequential): each takes"
           " less of its memory."),
    option("Model", "--quantize", type=click.Choice(QUANTIZATIONS), default="none",
           show_default=True,
           help="Round the weights while loading, to a half (int8, fp8) or a quarter (nf4) of their"
           " size; the picture differs a little."),
    option("Model", "--lora", "loras", metavar="FILE[:SCALE]", multiple=True,
           shell_complete=completing.files,
           help="A LoRA as a .safetensors file; may be repeated."),
    option("Model", "--shift", metavar="N", type=click.FloatRange(0, 100, min_open=True),
           help="One shift of the noise levels at every size, as LoRAs for few steps need: 3 for"
           " Lightning. By default what the LoRA's metadata says, else the model's own."),
)  # fmt: skip

_method = option(
    "Reference", "--method", metavar="NAME", shell_complete=completing.methods,
    help="How IMAGE steers the edit; by default the model's own way.",
)  # fmt: skip
_strength = option(
    "Reference", "--strength", metavar="0-2",
    help="How much IMAGE steers the edit: 0 as if it were not there, 1 (the default) as"
    " the method is meant; above 1.5 artifacts are likely. Over the steps: 0.4:1.0,"
    " 0.4:1.0:cosine, or progress@strength as in 0@0.4,0.5@0.8,1@1.2.",
)  # fmt: skip
_method_option = option(
    "Reference", "--option", "method_options", metavar="NAME=VALUE", multiple=True,
    shell_complete=completing.method_options,
    help="An option of --method, or of the method of --preset, such as softmax=separate; may"
    " be repeated. refhooks plugins lists methods, docs/methods.md their options.",
)  # fmt: skip
_preset = option(
    "Reference", "--preset", metavar="NAME|FILE", shell_complete=completing.presets,
    help="A method, strength and denoise under a name, see refhooks presets; --method,"
    " --strength and --denoise override what it says.",
)  # fmt: skip
_strategy_file = option(
    "Reference", "--strategy", "strategy_file", metavar="FILE",
    shell_complete=completing.files,
    help="A strategy in a .toml or .json file, instead of --method and --strength. Where it"
    " lists references, IMAGE takes the place of the first one's picture.",
)  # fmt: skip
_references = option(
    "Reference", "--ref", "references", metavar="FILE[:METHOD[:STRENGTH]]", multiple=True,
    shell_complete=completing.references,
    help="One more picture, 'Picture 2' of the prompt and so on; may be repeated. STRENGTH"
    " as for --strength, such as coat.png:cross_attn:0.4:1.0.",
)  # fmt: skip

reference_options = _together(
    _method, _strength, _method_option, _preset, _strategy_file, _references
)  # fmt: skip

mask_options = _together(
    option("Masks", "--mask-region", metavar="FILE|BOX", multiple=True,
           shell_complete=completing.files,
           help="Where in the picture IMAGE steers the edit: what is white in a picture, or"
           " x,y,width,height in pixels or percent, such as 10%,10%,50%,50%. May be repeated: then"
           " where all of them cover. Elsewhere the model is not given IMAGE; to keep it there, use"
           " --edit-mask."),
    option("Masks", "--mask-content", metavar="FILE|BOX", multiple=True,
           shell_complete=completing.files,
           help="Which part of IMAGE is used to steer; the rest of it is hidden. May be repeated."),
    option("Masks", "--edit-mask", metavar="FILE|BOX", shell_complete=completing.files,
           help="Where the picture may change at all; the rest of it stays as it is in IMAGE."),
    option("Masks", "--compute", metavar="all|inside",
           help="With --edit-mask: 'inside' computes only what may change and a border around it,"
           " several times as fast; an approximation. 'inside:reuse=7' also reads references from"
           " keys and values of earlier steps; see docs/speed.md."),
    option("Masks", "--feather", metavar="PIXELS", type=float,
           help="Let these masks fade out over so many pixels of IMAGE, outside of their edges."),
    option("Masks", "--invert-masks", is_flag=True,
           help="What these masks do not cover counts instead."),
)  # fmt: skip

run_options = _together(
    option("Plugins", "--plugin", "plugins", metavar="NAME[:OPTION=VALUE]", multiple=True,
           shell_complete=completing.run_plugins,
           help="A run plugin that takes part, with its options, as NAME:a=1,b=2; may be repeated."
           " Where values hold commas, ';' divides the options."),
    option("Plugins", "--check", type=click.Choice(("final", "eager")), default="final",
           show_default=True,
           help="When what plugins return is checked for NaN and infinity: at the end, or at each"
           " call (eager), which names the plugin and the step."),
)  # fmt: skip

_steps = option(
    "Sampling", "--steps", metavar="N", type=click.IntRange(1, MAX_STEPS),
    help="Denoising steps; by default the model's own number.",
)  # fmt: skip
_cfg = option(
    "Sampling", "--cfg", type=Scales(), metavar="SCALE",
    help="Guidance: how closely to follow the prompt; 1 is off. By default the model's own. Over"
    " the steps: 0.5@4 is off until half way, and saves those passes; 1:4 rises from the first step"
    " to the last.",
)  # fmt: skip
_cache = option(
    "Sampling", "--cache", metavar="fbcache|taylorseer",
    help="A step cache of diffusers for this run, which leaves blocks out of steps: an"
    " approximation. Options follow, as fbcache:threshold=0.2 or taylorseer:interval=5.",
)  # fmt: skip
_size = _together(
    option("Sampling", "--resolution", type=_Resolution(), metavar="PIXELS|native",
           help="Area of the output, width times height, in the shape of IMAGE: 1048576 is that of"
           " 1024x1024. 'native': IMAGE's own width and height, to the pixel, and nothing is"
           " resized."),
    option("Sampling", "--height", metavar="PIXELS", type=click.IntRange(1),
           help="Of the output; the width follows if it is not given."),
    option("Sampling", "--width", metavar="PIXELS", type=click.IntRange(1),
           help="Of the output; the height follows if it is not given."),
    option("Sampling", "--vision-resolution", metavar="PIXELS", type=click.IntRange(1),
           help="Area at which the model's text encoder sees pictures; by default its own."),
    option("Sampling", "--align", is_flag=True,
           help="Move and scale what is made back onto IMAGE, where that can be measured. Needs the"
           " extra 'measure'."),
)  # fmt: skip

_denoise = option(
    "Sampling", "--denoise", type=float, metavar="0-1", default=1.0,
    help="How far to go back to noise, above 0, by default 1; below 1 the edit starts from IMAGE"
    " itself, and keeps more of it.",
)  # fmt: skip
_negative = option(
    "Sampling", "--negative", metavar="TEXT", default=" ",
    help="What guidance moves away from.",
)  # fmt: skip

sampling_options = _together(
    _steps,
    _denoise,
    option("Sampling", "--seed", metavar="N", type=click.IntRange(0),
           help="The same seed gives the same picture; by default a new one, which is printed."),
    option("Sampling", "-n", "count", metavar="N", type=click.IntRange(1, 4096), default=1,
           show_default=True, help="Pictures, from consecutive seeds."),
    _cfg,
    _cache,
    _negative,
    _size,
)  # fmt: skip

batch_options = _together(
    _method, _strength, _preset, _strategy_file, _references,
    _steps,
    _denoise,
    option("Sampling", "--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True,
           help="Of every job that says none."),
    _cfg,
    _cache,
    _negative,
    _size,
    option("Batch", "--batch", "most", metavar="N", type=click.IntRange(1, 4096),
           help="Edits in one pass; by default as many as the device has room for, up to 16."),
    option("Batch", "--retry", is_flag=True,
           help="Also try the jobs again that failed before."),
    option("Ray", "--ray", metavar="[ADDRESS]", is_flag=False, flag_value="local",
           help="Let actors of Ray make the pictures, one model each: on this machine, or on the"
           " cluster at HOST:PORT, or auto for the one that runs here. All its machines share the"
           " folders."),
    option("Ray", "--num-gpus", metavar="N", type=click.FloatRange(0, 64),
           help="Of an actor; by default 1 where there is any."),
    option("Ray", "--num-cpus", metavar="N", type=click.FloatRange(0.01, 4096),
           help="Of an actor; by default 1 beside a GPU, otherwise all of a machine."),
    option("Output", "-o", "--output", "out", metavar="FOLDER", required=True,
           shell_complete=completing.folders,
           help="Where the pictures go, each as the ID of its job with .png; jobs that fail go to"
           " errors.jsonl there."),
)  # fmt: skip

grid_options = _together(
    option("Grid", "--methods", metavar="NAME,NAME",
           shell_complete=completing.methods, help="Short for --rows method=NAME,NAME."),
    option("Grid", "--strengths", metavar="0-2,0-2",
           help="Short for --columns strength=0,0.5,1. Where none of --methods, --strengths, --rows"
           " and --columns is given, each method that the model can do, at 0, 0.5, 1 and 1.5;"
           " --method, --preset or --strategy fixes the method, --strength the strength."),
    option("Grid", "--rows", metavar="FIELD=VALUE,VALUE", shell_complete=completing.grid_fields,
           help="What differs from row to row: method, strength, until, vision, denoise, steps,"
           " cfg, seed, or an option of a method, as inject.formula=add,blend. With a number before"
           " it, of that stage: 2.strength=0.5,1. Where values hold commas, ';' divides them."),
    option("Grid", "--columns", metavar="FIELD=VALUE,VALUE",
           shell_complete=completing.grid_fields, help="Likewise, between columns."),
    option("Grid", "--seeds", metavar="N,N", default="0", show_default=True,
           help="Each row once for each of these seeds."),
    option("Grid", "--batch", metavar="N", type=click.IntRange(1, 2000), default=1,
           show_default=True,
           help="Seeds of a cell that run in one pass: faster, and above 1 a picture differs by"
           " rounding from what its seed gives alone."),
    option("Grid", "--tile", metavar="PIXELS", type=click.IntRange(32, 2048),
           help="Side of the square that a picture is fitted into; by default 160 to 512, by the"
           " number of columns."),
    _steps,
    _denoise,
    _cfg,
    _cache,
    _negative,
    _size,
    option("Output", "-o", "--output", metavar="OUT", required=True,
           shell_complete=completing.files,
           help="Where the sheet goes: .png, .jpg or .webp."),
    option("Output", "--cells", metavar="FOLDER", shell_complete=completing.folders,
           help="Where the pictures are kept, so that the same command goes on where it was"
           " interrupted; by default a folder beside OUT with the ending .cells."),
    option("Output", "--plot", metavar="PNG", shell_complete=completing.files,
           help="Draw what changed and what was kept over the columns, which must be numbers."),
)  # fmt: skip

chain_options = _together(
    option("Chain", "-p", "--prompt", "prompts", metavar="PROMPT", multiple=True,
           help="What an edit is to do; once for each edit, in order, instead of FILE."),
    option("Chain", "--strength", metavar="0-2",
           help="How much its reference steers each edit that says no strength itself: a number,"
           " one an edit, as 0.4,0.8,1.2, or from the first edit to the last, as 1:0.5."),
    option("Chain", "--denoise", metavar="0-1",
           help="How far each edit goes back to noise, in the same forms; below 1 it starts from"
           " what the edit before made, and keeps more of it."),
    option("Chain", "--handover", type=click.Choice(HANDOVERS), default="latents",
           show_default=True, help="How an edit is given what the one before made; pixels are"
           " decoded and encoded again."),
    _steps,
    option("Sampling", "--seed", metavar="N", type=click.IntRange(0),
           help="Of the first edit; each one after it has the next number. By default a new one,"
           " which is printed."),
    _cfg,
    _cache,
    _size,
)  # fmt: skip

score_options = _together(
    option("Score", "--pairs", metavar="FILE", shell_complete=completing.files,
           help="What is edited: a line of JSON each, with source, prompt and, if they are known,"
           " right and mask; by default held-out scenes of the embedded model."),
    option("Score", "--quick", is_flag=True,
           help="Two methods at three strengths, on 4 pairs of each kind."),
    option("Score", "--methods", metavar="NAME,NAME",
           shell_complete=completing.methods, help="By default all that the model can do."),
    option("Score", "--strengths", metavar="0-2,0-2",
           help="By default 0,0.25,0.5,0.75,1,1.3,1.6,2."),
    option("Score", "--denoise", metavar="0-1,0-1",
           help="At strength 1, besides 1; by default 0.3,0.5,0.7,0.9."),
    option("Score", "--strengths-only", is_flag=True,
           help="Leave out denoise, schedules and switches, unless --denoise is given."),
    option("Score", "--cells", metavar="FILE", shell_complete=completing.files,
           help="What is run instead: a .toml file with [[cell]], each a strategy with a name."),
    option("Score", "--kinds", metavar="KIND,KIND", help="Of edit; by default all."),
    option("Score", "--scenes", metavar="N", type=click.IntRange(1, 10_000),
           help="Pairs of each kind; by default 25, and with --pairs all."),
    _steps,
    _cfg,
    option("Sampling", "--seed", metavar="N", type=click.IntRange(0, 2**62), default=0,
           show_default=True, help="Added to the seed of each pair."),
    option("Sampling", "--batch", metavar="N", type=click.IntRange(1, 4096),
           help="Pairs that are edited at once; by default 25 with an embedded model, else 1."),
    option("Output", "-o", "--output", metavar="FOLDER", default="score", show_default=True,
           shell_complete=completing.folders,
           help="Where tables and plots go, and every batch as soon as it is finished."),
    option("Output", "--json", "json_file", metavar="FILE",
           shell_complete=completing.files, help="Write the scorecard there too."),
)  # fmt: skip
