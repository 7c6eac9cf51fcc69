"""The command line's root; what a command needs is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from refhooks._core.planning.bounds import MAX_STEPS
from refhooks.cli import _completion as completing
from refhooks.cli import _examples as examples
from refhooks.cli._command import App, Command, OnePicture
from refhooks.cli._options import (
    Scales,
    batch_options,
    chain_options,
    grid_options,
    mask_options,
    metadata_option,
    model_options,
    option,
    output_option,
    reference_options,
    run_options,
    sampling_options,
    score_options,
    transformer_option,
)
from refhooks.cli._version import remember_verbose, tell_version

__all__ = ["main"]


@click.group(
    cls=App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--verbose", is_flag=True, is_eager=True, expose_value=False, callback=remember_verbose,
    help="With --version: also those of Python, torch and diffusers.",
)  # fmt: skip
@click.option(
    "--version", is_flag=True, expose_value=False, callback=tell_version,
    help="Show the version and exit.",
)  # fmt: skip
def main() -> None:
    """Edit pictures, and decide how and how much each reference picture steers the edit."""


@main.command(cls=OnePicture, examples=examples.EDIT)
@click.argument("image", shell_complete=completing.files)
@click.argument("prompt")
@model_options
@reference_options
@mask_options
@run_options
@sampling_options
@output_option
@option(
    "Output", "--preview-every", metavar="N", type=click.IntRange(1),
    help="Every N steps, write what the picture would become beside OUT, as OUT's name with"
    " '.preview.png'.",
)  # fmt: skip
@option(
    "Output", "--measure-drift", is_flag=True,
    help="Where keys and values are reused: run the edit once more without reuse, and say how close"
    " the two pictures are (PSNR, SSIM).",
)  # fmt: skip
@option(
    "Output", "--embed", is_flag=True,
    help="Put references and masks inside of a PNG, so that it replays from itself alone.",
)  # fmt: skip
@metadata_option
@option(
    "Output", "--no-recipe", is_flag=True,
    help="Write the picture alone, without what it was made from (refhooks recipe, replay).",
)  # fmt: skip
def edit(**options: Any) -> None:
    """Edit the picture IMAGE as PROMPT says.

    IMAGE is a PNG, JPEG or WEBP file; it gives the shape of the output. Without --model the
    embedded model is used, which is small and knows drawn scenes only.
    """
    from refhooks.cli._edit import EditOptions, edit_command  # noqa: PLC0415  imports torch
    from refhooks.cli._masks import MaskOptions  # noqa: PLC0415
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415
    from refhooks.cli._presets import fill_denoise  # noqa: PLC0415

    model, masks = ModelOptions.take(options), MaskOptions.take(options)
    fill_denoise(options, click.get_current_context())
    edit_command(EditOptions(model=model, masks=masks, **options))


@main.command(cls=Command, examples=examples.CHAIN)
@click.argument("image", shell_complete=completing.files)
@click.argument("file", required=False, shell_complete=completing.files)
@model_options
@chain_options
@run_options
@metadata_option
@option(
    "Output", "-o", "--output", metavar="OUT", required=True, shell_complete=completing.files,
    help="Where the last picture goes: .png, .jpg or .webp. Those before go to OUT-1 and so on,"
    " each as soon as it is made.",
)  # fmt: skip
def chain(**options: Any) -> None:
    """Edit the picture IMAGE several times, each edit on what the one before made.

    FILE is a chain, a .toml or .json file with [[edit]]; without one, each -p is an edit.
    """
    from refhooks.cli._chain import ChainOptions, run_chain  # noqa: PLC0415  imports torch
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415

    model = ModelOptions.take(options)
    run_chain(ChainOptions(model=model, **options))


@main.command(cls=Command, examples=examples.GRID)
@click.argument("image", shell_complete=completing.files)
@click.argument("prompt")
@model_options
@reference_options
@mask_options
@run_options
@grid_options
def grid(**options: Any) -> None:
    """Edit IMAGE as PROMPT says with two fields varied, as one labelled sheet.

    The same command again makes only the pictures that are missing.
    """
    from refhooks.cli._edit import EditOptions  # noqa: PLC0415  imports torch
    from refhooks.cli._grid import GridOptions, run_grid  # noqa: PLC0415
    from refhooks.cli._masks import MaskOptions  # noqa: PLC0415
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415
    from refhooks.cli._presets import fill_denoise  # noqa: PLC0415

    model, masks = ModelOptions.take(options), MaskOptions.take(options)
    what = GridOptions.take(options)
    fill_denoise(options, click.get_current_context())
    options |= {"seed": what.first_seed, "count": 1, "preview_every": None}
    run_grid(EditOptions(model=model, masks=masks, **options), what)


@main.command(cls=Command, examples=examples.BATCH)
@click.argument("jobs", shell_complete=completing.files)
@click.argument("prompt", required=False)
@model_options
@batch_options
def batch(**options: Any) -> int:
    """Edit many pictures: those of the folder JOBS as PROMPT says, or the jobs of a file.

    JOBS is a folder, or a .jsonl or .csv file whose jobs have id, image and prompt, and what else
    edit takes; options hold for jobs that do not say it. The same command again goes on where it
    was interrupted, and several may share a folder. The status is 3 if any job failed.
    """
    from refhooks.cli._batch import BatchOptions, run_batch  # noqa: PLC0415  imports torch
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415

    model = ModelOptions.take(options)
    given = click.get_current_context().get_parameter_source("denoise")
    if given is click.core.ParameterSource.DEFAULT:
        options["denoise"] = None  # which is what a job's preset says, or 1
    return run_batch(model, BatchOptions(**options))


@main.command(cls=Command, examples=examples.EXPLAIN)
@click.argument("picture", shell_complete=completing.files)
@option(
    "Explain", "--source", metavar="FILE", shell_complete=completing.files,
    help="The picture that was edited; needed where PICTURE holds no recipe that names it.",
)  # fmt: skip
@option(
    "Explain", "--edit-mask", metavar="FILE|BOX", shell_complete=completing.files,
    help="Where the picture was to change, as for edit: what is inside is measured apart.",
)  # fmt: skip
@option("Explain", "--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@option(
    "Explain", "--html", metavar="FILE", shell_complete=completing.files,
    help="Write a report with the pictures and plots in it, as one .html file.",
)  # fmt: skip
def explain(**options: Any) -> None:
    """Say what an edit changed and kept in PICTURE, and what to try if it went wrong."""
    from refhooks.cli._explain import ExplainOptions, run_explain  # noqa: PLC0415  imports torch

    run_explain(ExplainOptions(**options))


@main.command(cls=Command, examples=examples.SCORE)
@model_options
@score_options
def score(**options: Any) -> None:
    """Measure methods, strengths and schedules on edits whose right answers are known.

    The same command again goes on where it was interrupted.
    """
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415  imports torch
    from refhooks.cli._score import ScoreOptions, run_score  # noqa: PLC0415

    model = ModelOptions.take(options)
    run_score(model, ScoreOptions(**options))


@main.command(cls=Command, examples=examples.PLAN)
@click.argument("file", shell_complete=completing.files)
@option(
    "Plan",
    "--steps",
    metavar="N",
    type=click.IntRange(1, MAX_STEPS),
    help="Denoising steps; may be left out with --model, which has a number of its own.",
)
@option(
    "Plan", "--denoise", type=float, metavar="0-1",
    help="As for edit: below 1 the noise levels begin lower. By default 1, or what a chain says.",
)  # fmt: skip
@option(
    "Plan", "--plot", metavar="PNG", shell_complete=completing.files,
    help="Draw strength over steps, coloured by method.",
)  # fmt: skip
@option("Plan", "--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@option(
    "Plan", "--cost", "with_cost", is_flag=True,
    help="Also say what it costs: operations, over those of no reference and of the model's own"
    " way, and memory. Without --model it is that of a full-size model.",
)  # fmt: skip
@option("Plan", "--cfg", type=Scales(), metavar="SCALE", help="As for edit, with --cost.")
@option("Plan", "--cache", metavar="NAME", help="Likewise.")
@option(
    "Plan", "--edit-mask", metavar="FILE|BOX", shell_complete=completing.files,
    help="As for edit; with --cost, and with --model where FILE names pictures.",
)  # fmt: skip
@option("Plan", "--compute", metavar="all|inside", help="Likewise.")
@option(
    "Model",
    "--model",
    metavar="NAME",
    shell_complete=completing.models,
    help="Show the noise levels of this model and, if FILE names pictures, where each one acts and"
    " how many tokens it takes; without it the levels are unshifted. Only its configuration is"
    " read, unless it is embedded.",
)
@transformer_option
@option(
    "Model",
    "--height",
    metavar="PIXELS",
    type=click.IntRange(1),
    help="Of the output: noise levels may depend on its size.",
)
@option("Model", "--width", metavar="PIXELS", type=click.IntRange(1), help="Likewise.")  # fmt: skip
def plan(**options: Any) -> None:
    """Show what the strategy or the chain in FILE does at every step, without running anything."""
    from refhooks.cli._timetable import PlanOptions, plan_command  # noqa: PLC0415

    plan_command(PlanOptions(**options))


@main.command(cls=Command, examples=examples.REPLAY)
@click.argument("picture", shell_complete=completing.files)
@option(
    "Replay", "--reference", "references", metavar="FILE", multiple=True,
    shell_complete=completing.files,
    help="A picture or mask that is not beside PICTURE under its name; may be repeated. One that"
    " the recipe does not know takes the place of the first picture that is missing.",
)  # fmt: skip
@option(
    "Replay", "--set", "settings", metavar="NAME=VALUE", multiple=True,
    help="Do something otherwise: strength, method, denoise, steps, seed, cfg, height, width,"
    " prompt or negative_prompt; may be repeated.",
)  # fmt: skip
@model_options
@option(
    "Output", "-o", "--output", metavar="OUT", shell_complete=completing.files,
    help="Where the picture goes; by default beside PICTURE, as its name with '-replay'.",
)  # fmt: skip
@option(
    "Output", "--embed", is_flag=True,
    help="Put references and masks inside of a PNG, so that it replays from itself alone.",
)  # fmt: skip
@metadata_option
def replay(**options: Any) -> None:
    """Make PICTURE again from the recipe that it carries, and say whether it is the same."""
    from refhooks.cli._model import ModelOptions  # noqa: PLC0415  imports torch
    from refhooks.cli._replay import ReplayOptions, run_replay  # noqa: PLC0415

    run_replay(ReplayOptions(model=ModelOptions.take(options), **options))


@main.command(cls=Command)
@click.argument("picture", shell_complete=completing.files)
@click.option("--strip", is_flag=True, help="Remove it from the file; the pixels stay as they are.")
def recipe(picture: str, strip: bool) -> None:
    """Print what PICTURE was made from, as JSON."""
    from refhooks.cli._replay import show_recipe  # noqa: PLC0415  imports torch

    show_recipe(picture, strip=strip)


@main.command(cls=Command, examples=examples.PRESETS)
@click.argument("name", required=False, shell_complete=completing.presets)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def presets(name: str | None, as_json: bool) -> None:
    """List the presets, or show the one that NAME, or the path of a file, says."""
    from refhooks.cli._presets import list_presets  # noqa: PLC0415  imports every plugin

    list_presets(name, as_json=as_json)


@main.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins(as_json: bool) -> None:
    """List the plugins, what they register, and why one is not live."""
    from refhooks.cli._plugins import list_plugins  # noqa: PLC0415  imports every plugin

    list_plugins(as_json=as_json)


@main.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def methods(as_json: bool) -> None:
    """List the methods and their forms: what each is worth, by what was measured, and its cost."""
    from refhooks.cli._methods import list_methods  # noqa: PLC0415  imports every plugin

    list_methods(as_json=as_json)


@main.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def hooks(as_json: bool) -> None:
    """List the hooks: signature, when each fires, and who implements it, in call order."""
    from refhooks.cli._hooks import list_hooks  # noqa: PLC0415  imports every plugin

    list_hooks(as_json=as_json)


@main.command(cls=Command, examples=("refhooks new my-method --hook attention",))
@click.argument("name")
@click.option(
    "--kind", default="method", show_default=True,
    type=click.Choice([
        "method", "schedule", "switch", "mask", "plugin", "preset", "command", "family",
    ]),
    help="What the plugin registers; 'plugin' is a run plugin, which is of no reference.",
)  # fmt: skip
@click.option(
    "--hook", default="conditioning", show_default=True,
    type=click.Choice(["conditioning", "step", "attention"]), help="What a method steers by.",
)  # fmt: skip
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", default=".", type=click.Path(path_type=Path),
    help="Where the folder NAME is made; by default here.",
)  # fmt: skip
def new(name: str, kind: str, hook: str, folder: Path) -> None:
    """Write the package of a new plugin NAME: a module, a test, a pyproject.toml, a README."""
    from refhooks.cli._new import run_new  # noqa: PLC0415  imports every plugin

    run_new(name, kind, hook, folder)


@main.command(cls=Command, examples=("refhooks check inject",))
@click.argument("name", shell_complete=completing.plugins)
@click.option(
    "--expect", "expected", metavar="CHECK=REASON", multiple=True,
    help="A check that the plugin cannot pass, and why; may be repeated.",
)  # fmt: skip
def check(name: str, expected: tuple[str, ...]) -> int:
    """Check that the plugin NAME keeps the contract, on a tiny model."""
    from refhooks.cli._check import run_check  # noqa: PLC0415  imports torch

    return run_check(name, expected)


@main.command(cls=Command)
@click.option(
    "-o", "--output", "folder", metavar="FOLDER", default="demo", show_default=True,
    type=click.Path(path_type=Path), help="Where to write; made if it is not there.",
)  # fmt: skip
def demo(folder: Path) -> None:
    """Edit a sample picture with the embedded model."""
    from refhooks.cli._demo import run_demo  # noqa: PLC0415  imports torch

    run_demo(folder)
