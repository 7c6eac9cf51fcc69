"""Training pairs as the model sees them: encoded once, by the family's own code."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import torch

from refhooks import Guidance, Shown, Size, Text
from refhooks_concat._pairs import Pair, load_fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from refhooks import Editor, FamilyRun


@attrs.frozen(eq=False)
class Example:
    """A pair, encoded and kept in main memory.

    Attributes:
        size: In pixels.
        source: Clean latents of the source on the target's grid, ``[1,T,C]``.
        target: Clean latents of what the edit makes, ``[1,T,C]``.
        texts: The encoded prompt (``cond``) and the empty one, by branch.
    """

    size: Size
    source: Tensor
    target: Tensor
    texts: Mapping[str, Text]


@attrs.frozen(eq=False)
class Examples:
    """All pairs, and for each of their sizes an open run of the family to predict with."""

    all: tuple[Example, ...]
    runs: Mapping[Size, FamilyRun]


@contextlib.contextmanager
def encoded(
    editor: Editor,
    pairs: Sequence[Pair],
    *,
    resolution: int | None,
    vision: bool,
    say: Callable[[str], None],
) -> Iterator[Examples]:
    """Encode every pair; what only encoding needs leaves the accelerator then.

    Args:
        editor: With the model.
        pairs: One or more.
        resolution: Pixel area to train at; ``None``: the checkpoint's own.
        vision: Whether the text encoder sees the source.
        say: Told how far it is.
    """
    with contextlib.ExitStack() as stack:
        examples: list[Example] = []
        runs: dict[Size, FamilyRun] = {}
        for number, pair in enumerate(pairs, 1):
            example, run = _encode(editor, pair, resolution, vision=vision)
            if example.size in runs:
                run.close()
            else:
                stack.callback(run.close)
                runs[example.size] = run
            examples.append(example)
            if number % 50 == 0 or number == len(pairs):
                say(f"encoded {number} of {len(pairs)} pairs")
        _set_aside(editor, stack)
        yield Examples(tuple(examples), runs)


@torch.no_grad()
def _encode(
    editor: Editor, pair: Pair, resolution: int | None, *, vision: bool
) -> tuple[Example, FamilyRun]:
    family = editor.family
    family.check_prompt(pair.prompt)
    source = load_fitted(pair.source, None)
    size = family.output_size(source, None, None, resolution)
    run = family.open(
        prompts=[pair.prompt],
        guidance=Guidance(2.0, (" ",)),  # any scale that has the branch of the empty prompt
        seeds=[0],
        size=size,
        references=[None],
        shown=[Shown(1, (source,))] if vision else [],
    )
    texts = {branch.name: run.inputs(run.noise, branch).text for branch in run.branches}
    example = Example(
        size=size,
        source=run.encode(load_fitted(pair.source, size), size).float().cpu(),
        target=run.encode(load_fitted(pair.target, size), size).float().cpu(),
        texts={name: text_to(text, torch.device("cpu")) for name, text in texts.items()},
    )
    return example, run


def text_to(text: Text, device: torch.device) -> Text:
    """Return an encoded prompt on a device."""
    mask = None if text.mask is None else text.mask.to(device)
    return Text(text.embeds.to(device), mask)


def _set_aside(editor: Editor, stack: contextlib.ExitStack) -> None:
    """Parts that are offloaded already stay where accelerate has them."""
    transformer = editor.family.transformer
    for part in editor.pipe.components.values():
        is_model = isinstance(part, torch.nn.Module) and part is not transformer
        if not is_model or hasattr(part, "_hf_hook"):
            continue
        place = next((weight.device for weight in part.parameters()), torch.device("cpu"))
        stack.callback(part.to, place)
        part.to("cpu")
