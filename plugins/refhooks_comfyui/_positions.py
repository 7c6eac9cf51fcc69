"""ComfyUI's methods of reference positions, and what each is here: one table.

Read off its Qwen model run beside diffusers' with the same weights: with one picture ``offset`` and
``uxo`` are what diffusers does itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refhooks import InputError

if TYPE_CHECKING:
    from refhooks import Registry
    from refhooks_comfyui._checkpoints import Checkpoint
    from refhooks_comfyui._graph import Node
    from refhooks_comfyui._notes import Notes

NATIVE = "default"  # the method whose options these are
METHODS: dict[str, dict[str, str]] = {
    "index": {},
    "offset": {"positions": "comfy-offset"},
    "uxo": {"positions": "comfy-offset"},
    "uxo/uno": {"positions": "comfy-offset"},
    "negative_index": {"positions": "negative"},
    "index_timestep_zero": {"modulate": "zero"},
}
BESIDE = ("offset", "uxo", "uxo/uno")


def options_of(
    method: tuple[str, Node] | None,
    count: int,
    checkpoint: Checkpoint,
    notes: Notes,
    registry: Registry,
) -> dict[str, Any]:
    """Return the options of ``default`` that put references where a method of ComfyUI does.

    Args:
        method: Its name and node; ``None``: none is named.
        count: Of references.
        checkpoint: The model.
        notes: Where it is said if there is no equal.
        registry: Knows which options there are.
    """
    if method is None:
        return {}
    name, node = method
    if name not in METHODS:
        notes.none(node, f"the reference method {name[:80]!r}; references are where the model was"
                   " trained to have them")  # fmt: skip
        return {}
    if name == "index_timestep_zero" and checkpoint.zero:
        return {}  # the checkpoint does it by itself
    if name == "index" and checkpoint.zero:
        notes.near(node, "'index' does not modulate references at time 0 there; this checkpoint,"
                   " which was trained so, always does")  # fmt: skip
    if name in BESIDE and count == 1 and (checkpoint.qwen or name == "offset"):
        return {}
    options = METHODS[name]
    try:
        if options:
            registry.method(NATIVE, options)
            if not checkpoint.qwen:
                raise InputError("these positions are of Qwen-Image-Edit")  # noqa: TRY301  as below
    except InputError:
        notes.none(node, f"the reference method {name!r}; references are where the model was"
                   " trained to have them")  # fmt: skip
        return {}
    return dict(options)
