"""The command line's root; what a command needs is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from refhooks.cli._command import App, Command
from refhooks.cli._options import (
    mask_options,
    model_options,
    option,
    output_option,
    sampling_options,
)

__all__ = ["main"]

EDIT_EXAMPLES = (
    'refhooks edit photo.png "make it night" -o night.png --strength 0.8 --seed 7',
    'refhooks edit photo.png "wear the coat of Picture 2" --ref coat.png:default:0.6 -o out.png',
)

PLAN_EXAMPLES = (
    "refhooks plan strategy.toml --steps 28",
    "refhooks plan strategy.toml --model toy --plot plan.png",
)


@click.group(
    cls=App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="refhooks")
def main() -> None:
    """Edit pictures, and decide how and how much each reference picture steers the edit."""


@main.command(cls=Command, examples=EDIT_EXAMPLES)
@click.argument("image")
@click.argument("prompt")
@model_options
@option(
    "Reference", "--method", metavar="NAME",
    help="How IMAGE steers the edit; by default the model's own way.",
)  # fmt: skip
@option(
    "Reference", "--strength", metavar="0-2",
    help="How much IMAGE steers the edit: 0 as if it were not there, 1 (the default) the method's"
    " own balance; above 1.5 artifacts are likely. Over the steps: 0.4:1.0, 0.4:1.0:cosine, or"
    " progress@strength as in 0@0.4,0.5@0.8,1@1.2.",
)  # fmt: skip
@option(
    "Reference", "--strategy", "strategy_file", metavar="FILE",
    help="A strategy in a .toml or .json file, instead of --method and --strength. Where it lists"
    " references, IMAGE takes the place of the first one's picture.",
)  # fmt: skip
@option(
    "Reference", "--ref", "references", metavar="FILE[:METHOD[:STRENGTH]]", multiple=True,
    help="One more picture, 'Picture 2' of the prompt and so on; may be repeated. STRENGTH as for"
    " --strength, such as coat.png:cross_attn:0.4:1.0.",
)  # fmt: skip
@mask_options
@sampling_options
@output_option
@option(
    "Output", "--preview-every", metavar="N", type=click.IntRange(1),
    help="Every N steps, write what the picture would become beside OUT, as OUT's name with"
    " '.preview.png'.",
)  # fmt: skip
def edit(**given: Any) -> None:
    """Edit the picture IMAGE as PROMPT says.

    IMAGE is a PNG, JPEG or WEBP file; it gives the shape of the output. Without --model the
    embedded model is used, which is small and knows drawn scenes only.
    """
    from refhooks.cli._edit import EditOptions, run_edit  # noqa: PLC0415  imports torch
    from refhooks.cli._masks import MaskOptions  # noqa: PLC0415
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415

    model, masks = ModelOptions.take(given), MaskOptions.take(given)
    run_edit(EditOptions(model=model, masks=masks, **given))


@main.command(cls=Command, examples=PLAN_EXAMPLES)
@click.argument("file")
@option(
    "Plan",
    "--steps",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Denoising steps; may be left out with --model, which has a number of its own.",
)
@option(
    "Plan", "--denoise", type=float, metavar="0-1", default=1.0,
    help="As for edit: below 1 the noise levels begin lower.",
)  # fmt: skip
@option("Plan", "--plot", metavar="PNG", help="Draw strength over steps, coloured by method.")
@option("Plan", "--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@option(
    "Model",
    "--model",
    metavar="NAME",
    help="Show the noise levels of this model and, if FILE names pictures, where each one acts and"
    " how many tokens it takes; without it the levels are unshifted.",
)
@option(
    "Model",
    "--height",
    metavar="PIXELS",
    type=click.IntRange(1),
    help="Of the output: noise levels may depend on its size.",
)
@option("Model", "--width", metavar="PIXELS", type=click.IntRange(1), help="Likewise.")  # fmt: skip
def plan(**given: Any) -> None:
    """Show what the strategy in FILE does at every step, without running anything."""
    from refhooks.cli._timetable import PlanOptions, run_plan  # noqa: PLC0415

    run_plan(PlanOptions(**given))


@main.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins(as_json: bool) -> None:
    """List the plugins, what they register, and why one is not live."""
    from refhooks.cli._plugins import list_plugins  # noqa: PLC0415  imports every plugin

    list_plugins(as_json=as_json)


@main.command(cls=Command)
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", default="demo", show_default=True,
    type=click.Path(path_type=Path), help="Where to write; made if it is not there.",
)  # fmt: skip
def demo(folder: Path) -> None:
    """Edit a sample picture with the embedded model."""
    from refhooks.cli._demo import run_demo  # noqa: PLC0415  imports torch

    run_demo(folder)
