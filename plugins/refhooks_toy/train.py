"""Train the toy model: `python -m refhooks_toy.train vae`, then `… transformer`."""

from __future__ import annotations

from pathlib import Path

import click


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
    from refhooks_toy._vae import train_vae

    train_vae(out, steps=steps, batch=batch, compile=compiled, seed=seed)


if __name__ == "__main__":
    main()
