"""How much less alike two equal vectors are when they stand some tokens apart.

python -m refhooks_untwist.locality
"""

from __future__ import annotations

import math

from refhooks_untwist import Untwist

__all__ = ["similarity", "table"]

THETA = 10_000.0  # the base of the frequencies in every Qwen-Image model
FORMS = {
    "the model's own": Untwist(high=1.0, low=1.0, rise=0.0),
    "`untwist`, first step": Untwist(rise=0.0),
    "`untwist`, last step": Untwist(high=0.6, low=1.4, rise=0.0),
    "`high=0, low=1`": Untwist(high=0.0, low=1.0, rise=0.0),
}
SHIFTS = (0, 1, 2, 4, 8, 16)


def similarity(method: Untwist, size: int, shift: int) -> float:
    """Return the mean of a scaled rotated key's product with the same vector ``shift`` tokens away.

    Over vectors of unit norm without a preferred direction, in one axis of ``size`` channels, in
    units of its value for keys that are not scaled at ``shift = 0``.
    """
    pairs = method.axis(size)[::2]
    angles = (shift * THETA ** (-2 * pair / size) for pair in range(size // 2))
    turned = (scale * math.cos(angle) for scale, angle in zip(pairs, angles, strict=True))
    return 2 * math.fsum(turned) / size


def table(size: int = 56) -> str:
    """Return the Markdown table of similarities; 56 channels are a row or column of Qwen's."""
    head = "| keys | " + " | ".join(f"{shift} apart" for shift in SHIFTS) + " | lost 4 apart |\n"
    rows = [head, "| --- |" + " --- |" * (len(SHIFTS) + 1) + "\n"]
    for name, method in FORMS.items():
        values = {shift: similarity(method, size, shift) for shift in SHIFTS}
        cells = [f"{values[shift]:.2f}" for shift in SHIFTS]
        rows.append(f"| {name} | {' | '.join(cells)} | {1 - values[4] / values[0]:.0%} |\n")
    return "".join(rows)


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201  a script that prints
