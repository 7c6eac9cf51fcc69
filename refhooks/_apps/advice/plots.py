"""Plots of what was measured: attention shares and drift over the steps, curves over strength."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks._base.figures import colours_of, legend_columns, new_figure, ticks
from refhooks._core.plugins.loading import load_registry
from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from refhooks._apps.advice.advice import Measured
    from refhooks._core.contract.drift import Drift

WIDTH = 8.0  # inches
MEASURES = {
    "changed": "share of pixels changed",
    "change": "by how much they changed",
    "similarity": "SSIM with the source",
    "edges": "edges in place",
}


def draw_attention(share: Tensor) -> Any:
    """Draw the attention share of each reference: over the steps, and for each block.

    Args:
        share: ``[N,blocks,1+references]``, as a result holds it.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or there is no reference.
    """
    values = share.float().cpu()
    steps, blocks, groups = values.shape
    if groups < 2:
        raise InputError("there is no reference, so all of the attention stays where it is")
    figure = new_figure(WIDTH, 2.4 + (0.8 + min(0.14 * blocks, 3.0)) * (groups - 1))
    heights = [2.0] + [0.6 + min(0.14 * blocks, 3.0)] * (groups - 1)
    panels = figure.subplots(groups, 1, sharex=True, height_ratios=heights)
    places = range(1, steps + 1)
    colours = colours_of([f"reference {number}" for number in range(1, groups)], ())
    for number in range(1, groups):
        mean, label = values[:, :, number].mean(dim=1), f"reference {number}"
        panels[0].plot(places, mean.tolist(), "o-", color=colours[label], label=label, markersize=3)
    panels[0].set_ylim(0.0, None)
    panels[0].set_ylabel("attention share")
    panels[0].set_title("mean over the blocks", loc="left", fontsize="medium")
    _legend(figure, panels[0])
    top = max(float(values[:, :, 1:].max()), 0.01)
    for number, panel in enumerate(panels[1:], 1):
        _draw_blocks(figure, panel, values[:, :, number], number, top)
    panels[-1].set_xlabel("step")
    panels[-1].set_xticks(ticks(steps))
    return figure


def _draw_blocks(figure: Any, panel: Any, values: Tensor, number: int, top: float) -> None:
    """One cell a step and block, ``[N,blocks]``."""
    steps, blocks = values.shape
    image = panel.imshow(
        values.T.numpy(),
        aspect="auto", origin="lower", cmap="viridis", vmin=0.0, vmax=top,
        extent=(0.5, steps + 0.5, 0.5, blocks + 0.5),
    )  # fmt: skip
    panel.set_ylabel("block")
    every = -(-blocks // 8)
    panel.set_yticks(range(1, blocks + 1, every))
    panel.set_title(f"reference {number}, each block", loc="left", fontsize="medium")
    figure.colorbar(image, ax=panel, fraction=0.03, pad=0.01)


def draw_drift(drift: Sequence[Drift]) -> Any:
    """Draw how far each reference's keys and values had moved, each time they were stored anew.

    Args:
        drift: Of a result; relative L2, the mean of the blocks and the worst of them. Where a step
            stored those of several passes, such as ``cond`` and ``uncond``, the larger counts.

    Returns:
        The figure.

    Raises:
        InputError: Nothing was stored anew, or matplotlib is not installed.
    """
    if not drift:
        raise InputError(
            "no keys and values of a reference were reused and then stored anew in this edit, so"
            " nothing could drift; a method's option reuse says how often they are"
        )
    figure = new_figure(WIDTH, 3.2)
    panel = figure.subplots()
    names = {number: f"reference {number + 1}" for number in sorted({it.reference for it in drift})}
    colours = colours_of(names.values(), ())
    for number, name in names.items():
        own = [it for it in drift if it.reference == number]
        steps = sorted({it.step for it in own})
        mean = [max(it.mean for it in own if it.step == step) for step in steps]
        worst = [max(it.worst_block[1] for it in own if it.step == step) for step in steps]
        places, colour = [step + 1 for step in steps], colours[name]
        panel.plot(places, mean, "o-", color=colour, label=f"{name}, mean of the blocks")
        panel.plot(places, worst, "x--", color=colour, label=f"{name}, worst block")
    last = max(it.step for it in drift) + 1
    panel.set_ylim(0.0, 1.1 * max(it.worst_block[1] for it in drift) or 1.0)
    panel.set_xlim(0.5, last + 0.5)
    panel.set_xlabel("step")
    panel.set_xticks(ticks(last))
    panel.set_ylabel("moved by (relative L2)")
    _legend(figure, panel)
    return figure


def draw_curves(curves: Mapping[str, Sequence[tuple[float, Measured]]], label: str) -> Any:
    """Draw what was measured over a number such as the strength.

    Args:
        curves: What a curve is called, and its points; where several have one number, the curve is
            their mean, and each is a dot.
        label: What the number is.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed.
    """
    figure = new_figure(WIDTH + 4.0, 3.2)
    colours = colours_of(curves, load_registry().methods)
    panels = figure.subplots(1, len(MEASURES), sharex=True)
    for panel, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for name, points in curves.items():
            colour = colours[name]
            dots = [(number, getattr(measured, measure)) for number, measured in points]
            numbers = sorted({number for number, _ in dots})
            grouped = [[value for at, value in dots if at == number] for number in numbers]
            means = [sum(values) / len(values) for values in grouped]
            panel.plot(*zip(*dots, strict=True), "o", color=colour, markersize=3, alpha=0.5)
            panel.plot(numbers, means, color=colour, label=name)
        panel.set_title(title, loc="left", fontsize="medium")
        panel.set_xlabel(label)
        panel.set_ylim(-0.02, 1.02)
    _legend(figure, panels[0])
    return figure


def _legend(figure: Any, panel: Any) -> None:
    """Outside of the panels, where it covers nothing."""
    handles, names = panel.get_legend_handles_labels()
    columns = legend_columns(names, figure.get_figwidth())
    figure.legend(
        handles, names, loc="outside upper center", ncols=columns, fontsize="small", frameon=False
    )
