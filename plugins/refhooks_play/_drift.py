"""How far reused keys and values had moved, as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from refhooks import Drift

__all__ = ["draw_drift"]


def draw_drift(drift: Sequence[Drift], path: Path) -> Path:
    """Draw the mean of the blocks, and the worst of them, at each step that stored them anew.

    Args:
        drift: Of a result; relative L2, ``‖new − old‖ / ‖new‖``.
        path: Ends in .png.

    Raises:
        InputError: Nothing was reused, or matplotlib is not installed.
    """
    if not drift:
        raise InputError(
            "nothing was reused in the last edit, or never stored anew, so nothing could drift; a"
            ' stage with cross_attn and the option reuse = "every 4" reuses keys and values'
        )
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError as error:
        raise InputError(
            'a plot needs matplotlib; install it with: pip install "refhooks[plot]"'
        ) from error
    figure = Figure(figsize=(8.0, 3.2), dpi=120, layout="constrained")
    panel = figure.subplots()
    for reference in sorted({entry.reference for entry in drift}):
        entries = sorted((it for it in drift if it.reference == reference), key=lambda it: it.step)
        steps = [entry.step + 1 for entry in entries]
        label = f"reference {reference + 1}"
        panel.plot(steps, [entry.mean for entry in entries], "o-", label=f"{label}, mean of blocks")
        worst = [entry.worst_block[1] for entry in entries]
        panel.plot(steps, worst, "x--", label=f"{label}, worst block")
    panel.set_ylim(0.0, None)
    panel.set_xlabel("step")
    panel.set_ylabel("moved by (relative L2)")
    panel.legend(fontsize="small", frameon=False)
    figure.savefig(path)
    return path
