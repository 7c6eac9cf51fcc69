"""Train the toy model: `python -m refhooks_toy.train vae`, then `… transformer`."""

from __future__ import annotations

from pathlib import Path

import click

from refhooks_toy._learn import Settings, train_transformer
from refhooks_toy._ship import ship
from refhooks_toy._vae_training import train_vae


@click.group()
def main() -> None:
    """Train the toy model. Every run can be stopped and started again."""


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path(".toy-run"))
@click.option("--steps", default=7000, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
def vae(out: Path, steps: int, batch: int, seed: int, compiled: bool) -> None:
    """Train the autoencoder."""
    train_vae(out, steps=steps, batch=batch, compiled=compiled, seed=seed)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path(".toy-run"))
@click.option("--steps", default=15_000, show_default=True)
@click.option("--batch", default=48, show_default=True)
@click.option("--pairs", default=49_152, show_default=True, help="Edits encoded beforehand.")
@click.option("--heads", default=4, show_default=True, help="Of 32 channels each.")
@click.option("--layers", default=6, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, show_default=True)
@click.option("--export-minutes", default=10.0, show_default=True)
@click.option(
    "--start", type=click.Path(path_type=Path, exists=True), help="Exported weights to begin with."
)
def transformer(
    out: Path,
    steps: int,
    batch: int,
    pairs: int,
    heads: int,
    layers: int,
    seed: int,
    compiled: bool,
    export_minutes: float,
    start: Path | None,
) -> None:
    """Train the transformer, the text encoder and the concat projection."""
    train_transformer(
        out, Settings(steps, batch, pairs, heads, layers, seed, compiled, export_minutes, start)
    )


@main.command("ship")
@click.argument("export", type=click.Path(path_type=Path, exists=True))
def ship_command(export: Path) -> None:
    """Put the weights of an EXPORT folder into the package."""
    click.echo(f"{ship(export) / 2**20:.1f} MiB of weights")


if __name__ == "__main__":
    main()
