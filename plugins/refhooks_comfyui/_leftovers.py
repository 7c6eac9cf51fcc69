"""What nothing has been said of: nodes that an edit depends on, and those after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refhooks_comfyui._notes import DO

if TYPE_CHECKING:
    from refhooks_comfyui._graph import Node
    from refhooks_comfyui._reading import Reading
    from refhooks_comfyui._sampling import Sampling

# They load parts of the model, or do what an edit does by itself.
PLAIN = (
    "CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "VAELoader", "VAEDecode",
    "VAEDecodeTiled", "GetImageSize", "KSamplerSelect", "CLIPLoaderGGUF", "DualCLIPLoaderGGUF",
    "LoadImage", "ModelAttentionBackend",
)  # fmt: skip
LOOKS = ("ImageCompare", "MaskPreview")  # with those that save and preview


def note_leftovers(reading: Reading, sampling: Sampling) -> None:
    """Say of each node that has no part in what was read that it has none.

    What leads to a node that has no equal is not listed besides, nor a negative prompt that was not
    read since nothing is guided by it.
    """
    notes, sampler = reading.notes, sampling.sampler
    negative = reading.graph.get(sampling.negative)
    if negative is not None and negative.id not in notes.known:
        notes.read(reading.graph.ancestors([negative]).values())
    ends = {note.node for note in notes.entries if note.kind == DO}
    waiting, seen = [sampler], {sampler.id}
    while waiting:
        node = waiting.pop()
        if node.id not in notes.known and node.type not in PLAIN:
            notes.none(node, "what it does is not known here")
            continue
        if node.id in ends:
            continue
        for value in node.links().values():
            before = reading.graph.get(reading.follow(value))
            if before is not None and before.id not in seen:
                seen.add(before.id)
                waiting.append(before)
    for node in _after(reading, sampler):
        notes.none(node, "what is done to the picture after the edit is not part of one")


def _after(reading: Reading, sampler: Node) -> list[Node]:
    """The nodes that what was made goes through, up to the next sampler or prompt."""
    users: dict[str, list[Node]] = {}
    for node in reading.graph.nodes.values():
        for before in reading.graph.before(node):
            users.setdefault(before.id, []).append(node)
    found, waiting, seen = [], [sampler], {sampler.id}
    while waiting:
        for node in users.get(waiting.pop().id, []):
            if node.id in seen:
                continue
            seen.add(node.id)
            if node.type in PLAIN:
                waiting.append(node)
            elif node.type not in LOOKS and not node.type.startswith(("Save", "Preview")):
                found.append(node)
    return found
