"""Train a projection for ``concat``: ``refhooks train-concat MODEL PAIRS_DIR``."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import attrs
import click
import torch

from refhooks import Editor, InputError, RefhooksError
from refhooks_concat._examples import encoded
from refhooks_concat._files import (
    Origin,
    check_writable,
    resume,
    write_projection,
    write_resume,
)
from refhooks_concat._learn import Learner, Settings
from refhooks_concat._pairs import LIST, read_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

DTYPES = ("bfloat16", "float32")  # float16 would need its gradients scaled


@attrs.frozen(kw_only=True)
class Job:
    """A training run.

    Attributes:
        pairs: The folder of pairs.
        output: The projection's file.
        steps: In all, those before an interruption included.
        resolution: Pixel area; ``None``: the checkpoint's own.
        vision: Whether the text encoder sees the source.
        base: Name of the checkpoint; ``None``: as the model knows it.
        save_every: Steps from one checkpoint to the next.
    """

    pairs: Path
    output: Path
    steps: int = 2000
    resolution: int | None = None
    vision: bool = True
    base: str | None = None
    save_every: int = 200


def train(editor: Editor, job: Job, settings: Settings) -> list[float]:
    """Train, or go on where a run stopped, and write the projection.

    The model's weights are frozen, and stay as they are.

    Returns:
        The loss of each step that was taken.

    Raises:
        InputError: The pairs, the output or the model cannot be used.
        NotFiniteError: The loss is NaN or infinite.
    """
    origin = Origin(editor.family.name, _base(editor, job))
    pairs = read_pairs(job.pairs)
    check_writable(job.output)
    say = click.echo
    with encoded(editor, pairs, resolution=job.resolution, vision=job.vision, say=say) as examples:
        learner = Learner(editor, examples, settings)
        kind = _kind(job, settings, origin)
        first = resume(job.output, learner, kind)
        if first:
            say(f"resumed after step {first}")
        if first >= job.steps:
            say(f"all {job.steps} steps are taken: the projection is as it was after step {first}")
            write_projection(job.output, learner, origin, first)
            return []
        transformer: Any = editor.family.transformer
        if settings.gradient_checkpointing:
            transformer.enable_gradient_checkpointing()
        try:
            return list(_learned(learner, job, first, kind, origin))
        finally:
            if settings.gradient_checkpointing:
                transformer.disable_gradient_checkpointing()


def _learned(learner: Learner, job: Job, first: int, kind: str, origin: Origin) -> Iterator[float]:
    started, recent = time.monotonic(), list[float]()
    for step in range(first, job.steps):
        loss = learner.learn(step)
        recent.append(loss)
        done = step + 1
        if done % 10 == 0 or done == job.steps:
            seconds = (time.monotonic() - started) / (done - first)
            click.echo(f"step {done}/{job.steps} loss {fmean(recent):.4f} {seconds:.2f} s a step")
            recent.clear()
        if done % job.save_every == 0 or done == job.steps:
            write_projection(job.output, learner, origin, done)
            write_resume(job.output, learner, kind, done)
        yield loss


def _base(editor: Editor, job: Job) -> str:
    base = job.base or editor.model.base
    if not base:
        raise InputError(
            "the model was loaded from a folder, so its checkpoint has no name; give it with --base"
        )
    return base


def _kind(job: Job, settings: Settings, origin: Origin) -> str:
    """What must be the same to go on; learning rates may change."""
    pairs = hashlib.sha256((job.pairs / LIST).read_bytes()).hexdigest()[:12]
    parts = (
        origin.family, origin.base, f"pairs {pairs}", f"rank {settings.lora_rank}",
        f"batch {settings.batch}", f"seed {settings.seed}", f"resolution {job.resolution}",
        f"vision {job.vision}", f"prompt dropped {settings.prompt_dropped}",
    )  # fmt: skip
    return ", ".join(parts)


class _Refused(click.ClickException):
    exit_code = 2


@click.command(context_settings={"show_default": True})
@click.argument("model")
@click.argument("pairs", metavar="PAIRS_DIR", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The projection; a .safetensors file.",
)
@click.option("--steps", type=click.IntRange(1), default=2000, help="In all.")
@click.option("--batch", type=click.IntRange(1), default=4, help="Pairs to a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=1e-3, help="Of P.")
@click.option("--lora-rank", type=click.IntRange(0), default=0, help="0: no LoRA.")
@click.option("--lora-lr", type=click.FloatRange(0, min_open=True), default=1e-4)
@click.option(
    "--resolution",
    type=click.IntRange(1),
    metavar="PIXELS",
    help="Pixel area to train at; by default the checkpoint's own.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0)
@click.option(
    "--prompt-dropped",
    type=click.FloatRange(0, 1),
    default=0.1,
    help="Share of samples with the empty prompt, for guidance.",
)
@click.option("--vision/--no-vision", default=True, help="Show the text encoder the source.")
@click.option("--gradient-checkpointing", is_flag=True, help="Less memory, a third more time.")
@click.option("--save-every", type=click.IntRange(1), default=200, metavar="STEPS")
@click.option("--transformer", metavar="FILE", help="Its transformer, where it is a single file.")
@click.option("--base", help="Name of the checkpoint, where the model is a folder.")
@click.option("--device", help="By default the accelerator, if there is one.")
@click.option("--dtype", type=click.Choice(DTYPES), help="Of the frozen model.")
def main(
    model: str, device: str | None, dtype: str | None, transformer: str | None, **options: Any
) -> None:
    """Train a projection for the method concat, for MODEL, from the pairs in PAIRS_DIR.

    MODEL is a folder, a repository or an embedded model. PAIRS_DIR holds pictures and pairs.jsonl,
    with one pair a line: {"source": "a.png", "prompt": "make it night", "target": "b.png"}.

    Started again with the same options, it goes on where it stopped.
    """
    job = Job(**{field.name: options.pop(field.name) for field in attrs.fields(Job)})
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    device = device or (None if accelerator is None else str(accelerator))
    try:
        read_pairs(job.pairs)  # before a large model is loaded
        check_writable(job.output)
        loaded = Editor.from_pretrained(model, device=device, dtype=dtype, transformer=transformer)
        train(loaded, job, Settings(**options))
    except RefhooksError as error:
        raise _Refused(str(error)) from error
    click.echo(f"wrote {job.output}")


if __name__ == "__main__":
    main()
