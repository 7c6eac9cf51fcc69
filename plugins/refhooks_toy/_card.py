"""Write what is measured and recorded into the model card, between its markers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from torch import nn

from refhooks_toy._ship import TRAINING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers import QwenImageEditPlusPipeline

    from refhooks_toy._figures import Figures

BEGIN, END = "<!-- {}: written by `python -m refhooks_toy.report --card` -->\n", "<!-- end -->"


def with_blocks(text: str, figures: Figures, pipe: QwenImageEditPlusPipeline, weights: Path) -> str:
    """Return a card with its blocks replaced; that of the training only if it is recorded."""
    text = _with_block(text, "parts", _parts(pipe))
    record = weights / TRAINING
    if record.exists():
        text = _with_block(text, "training", _training(json.loads(record.read_text("utf-8"))))
    return _with_block(text, "figures", _measured(figures))


def _with_block(text: str, name: str, block: str) -> str:
    begin = BEGIN.format(name)
    start = text.index(begin) + len(begin)
    return text[:start] + block + text[text.index(END, start) :]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _parts(pipe: QwenImageEditPlusPipeline) -> str:
    inner = pipe.transformer.config
    text, vision = pipe.text_encoder.config.text_config, pipe.text_encoder.config.vision_config
    made_of = {
        "vae": "autoencoder: 4 pixels a latent, 16 channels",
        "transformer": f"transformer: {inner.num_layers} blocks,"
        f" {inner.num_attention_heads} heads of {inner.attention_head_dim}",
        "text_encoder": f"text encoder: {text.num_hidden_layers} layers of {text.hidden_size},"
        f" with a vision tower of {vision.depth} layers of {vision.hidden_size}",
        "tokenizer": f"tokenizer: byte-level BPE, {len(pipe.tokenizer)} tokens, made from"
        " toyland's prompts",
        "scheduler": f"scheduler: shift {pipe.scheduler.config.shift:g}",
    }
    rows = [
        (said, f"`{type(getattr(pipe, name)).__name__}`", _count(getattr(pipe, name)))
        for name, said in made_of.items()
    ]
    joined = "`concat_projection.safetensors`: a reference's latents to the input channels"
    weights = f"{pipe.transformer.inner_dim * inner.in_channels / 1e3:.0f} k"
    return _table(("part", "class", "parameters"), [*rows, (joined, "–", weights)])


def _count(part: Any) -> str:
    if not isinstance(part, nn.Module):
        return "–"
    return f"{sum(parameter.numel() for parameter in part.parameters()) / 1e6:.2f} M"


def _training(record: dict[str, Any]) -> str:
    vae, before = record["vae"], record["before"]
    rest = _rest(record) if before is None else f"{_rest(before)}; then {_rest(record)}"
    return (
        f"{record['machine']}: {vae['minutes']:.0f} minutes ({vae['steps']:,} steps) for the"
        f" autoencoder,\nand for the rest {rest}. The edits were encoded beforehand.\n"
    )


def _rest(record: dict[str, Any]) -> str:
    run = record["transformer"]
    return f"{run['minutes']:.0f} minutes ({run['steps']:,} steps) on {record['pairs']:,} edits"


def _measured(figures: Figures) -> str:
    settings, bars = figures.settings, figures.bars
    missed = [bar.name for bar in bars if not bar.met]
    said = f"Missed: {'; '.join(missed)}." if missed else "Every bar is met."
    kinds = _table(
        ("kind", "edit done", "kept outside", "edges kept (F1)"),
        [row.cells() for row in (*figures.rows, figures.mean)],
    )
    return (
        f"{settings.count} held-out edits of each kind, {settings.steps} steps, guidance"
        f" {settings.cfg:g}, {settings.precision}; mean and 95 % bootstrap interval:\n\n"
        f"{kinds}\n{_table(('bar', 'wanted', 'reached', ''), [bar.cells() for bar in bars])}\n"
        f"{said}\n"
    )
