"""What weighted attention costs: merged groups of keys, stock attention and a float mask.

    python benchmarks/attention.py [--device cuda] [--dtypes float32,bfloat16]
                                   [--references 1,2,3,4] [--compile]
                                   [--json benchmarks/results/attention.json]

Text, target and 1 to 4 references, each reference at strength 0.7. ``merged`` is
``refhooks.attention.merged_attention``, as the processor calls it; ``stock`` is PyTorch's
``scaled_dot_product_attention`` for the same tokens; ``mask`` is the same with a float mask that
holds ``log s``, the other way to weigh keys. Eager, and with --compile also compiled. All are run
in turn, in an order that rotates; figures are medians of ``merged / stock`` and ``mask / merged``,
round by round, with their spread. Goal: ``merged / stock`` of at most 1.15 with one reference.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _wide
import attrs
import torch
from torch.nn.attention import SDPBackend
from torch.nn.functional import scaled_dot_product_attention

from refhooks.attention import KeyGroup, merged_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

GOAL, STRENGTH = 1.15, 0.7


@attrs.frozen
class Case:
    """One size of attention.

    Attributes:
        dtype: Of queries, keys and values.
        head: Head size.
        heads: Number of heads.
        text: Tokens of the prompt.
        tokens: Of the output, and of each reference.
        references: How many.
    """

    dtype: str
    head: int
    heads: int
    text: int
    tokens: int
    references: int

    @property
    def lengths(self) -> list[int]:
        """Of the groups: text and target, then each reference."""
        return [self.text + self.tokens] + [self.tokens] * self.references

    def made(self, device: str) -> tuple[Tensor, Tensor, Tensor, list[KeyGroup], Tensor]:
        """Return random queries, keys, values ``[1,L,H,D]``, the groups and the float mask."""
        dtype, length = _wide.DTYPES[self.dtype], sum(self.lengths)
        generator = torch.Generator(device).manual_seed(0)
        query, keys, values = (
            torch.randn(
                1, length, self.heads, self.head, generator=generator, device=device, dtype=dtype
            )
            for _ in range(3)
        )
        groups, start = [], 0
        mask = torch.zeros(length, length, dtype=dtype, device=device)
        cut = zip(keys.split(self.lengths, 1), values.split(self.lengths, 1), strict=True)
        for place, (own_keys, own_values) in enumerate(cut):
            own = slice(start, start + own_keys.shape[1])
            start = own.stop
            weight = None
            if place:
                weight = torch.full((length,), STRENGTH, device=device)
                weight[own] = 1.0
                mask[:, own] = math.log(STRENGTH)
                mask[own, own] = 0.0
            groups.append(KeyGroup(own_keys, own_values, weight, own=own))
        return query, keys, values, groups, mask


def measured(case: Case, device: str, repeats: int, *, compiled: bool) -> dict[str, Any]:
    """Return the ratios of one case."""
    query, keys, values, groups, mask = case.made(device)

    def stock(bias: Tensor | None = None) -> Tensor:
        moved = (part.transpose(1, 2) for part in (query, keys, values))
        return scaled_dot_product_attention(*moved, attn_mask=bias).transpose(1, 2)

    merge: Callable[..., Tensor] = merged_attention
    if compiled:
        torch.compiler.reset()
        merge, stock = (torch.compile(it, fullgraph=True) for it in (merged_attention, stock))
    error = (merge(query, groups).float() - stock(mask).float()).abs().max()
    calls: dict[str, Callable[[], Any]] = {
        "stock": stock,
        "merged": lambda: merge(query, groups),
        "mask": lambda: stock(mask),
    }
    found = _wide.interleaved(
        {name: lambda it=it: _wide.once(device, it) for name, it in calls.items()}, repeats, warm=2
    )
    return {
        **attrs.asdict(case),
        "compiled": compiled,
        "stock kernel": _kernel(query, keys, values),
        "largest difference": float(error),
        "stock seconds": _wide.spread(found["stock"]),
        "merged / stock": _wide.over(found, "merged", "stock"),
        "mask / merged": _wide.over(found, "mask", "merged"),
    }


def _kernel(*parts: Tensor) -> str:
    """Which of its kernels PyTorch takes: what merged attention is measured against."""
    return SDPBackend(torch._fused_sdp_choice(*(part.transpose(1, 2) for part in parts))).name


def profile(case: Case, device: str) -> str:
    """Return where the time of one merged attention goes, as PyTorch's profiler sees it."""
    query, _, _, groups, _ = case.made(device)
    merged_attention(query, groups)
    with torch.profiler.profile() as found:
        merged_attention(query, groups)
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


def cases(arguments: argparse.Namespace) -> list[Case]:
    """Return every combination that is asked for; heads so many that the width is the same."""
    return [
        Case(dtype, head, max(1, arguments.width // head), arguments.text, tokens, references)
        for dtype in arguments.dtypes.split(",")
        for head in _numbers(arguments.heads)
        for tokens in _numbers(arguments.tokens)
        for references in _numbers(arguments.references)
    ]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Print the figures, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--heads", default="64,128", help="head sizes")
    parser.add_argument("--width", type=int, default=3072, help="head size times heads")
    parser.add_argument("--text", type=int, default=128)
    parser.add_argument("--tokens", default="576,1024", help="of the output and each reference")
    parser.add_argument("--references", default="1,2,3,4")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="measure compiled functions too")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.profile:
        print(profile(cases(arguments)[0], arguments.device))
        return
    found = []
    with torch.no_grad():
        for case in cases(arguments):
            for compiled in (False, True) if arguments.compile else (False,):
                row = measured(case, arguments.device, arguments.repeats, compiled=compiled)
                found.append(row)
                print(_line(row), flush=True)
    if arguments.json:
        _wide.write_json({"goal": GOAL, "strength": STRENGTH, "cases": found}, arguments.json)


def _line(row: dict[str, Any]) -> str:
    merged, mask = row["merged / stock"], row["mask / merged"]
    return (
        f"{row['dtype']}, {row['heads']} heads of {row['head']}, {row['references']} references of"
        f" {row['tokens']}, {'compiled' if row['compiled'] else 'eager'}: merged / stock"
        f" {merged['median']:.3f} ({merged['lowest']:.3f} to {merged['highest']:.3f}),"
        f" mask / merged {mask['median']:.3f}, largest difference {row['largest difference']:.1g}"
    )


if __name__ == "__main__":
    main()
