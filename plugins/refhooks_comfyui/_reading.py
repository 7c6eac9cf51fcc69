"""Values, pictures and masks of a workflow: what a link stands for once all is worked out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import attrs

from refhooks import InputError
from refhooks_comfyui._graph import Graph, Link, Node
from refhooks_comfyui._notes import Notes

# Nodes that hand a value on as it is, and their input.
VALUES = {
    "PreviewAny": "source",
    "PrimitiveBoolean": "value",
    "PrimitiveFloat": "value",
    "PrimitiveInt": "value",
    "PrimitiveString": "value",
    "PrimitiveStringMultiline": "value",
}
JOINS = ("BatchImagesNode", "ImageStitch")  # of one picture they make that picture
LOADERS = {"LoadImage": 0, "LoadImageOutput": 0}
# Nodes that hand a picture on at another size, and their input.
SCALES = {
    "FluxKontextImageScale": "image",
    "ImageScale": "image",
    "ImageScaleBy": "image",
    "ImageScaleToMaxDimension": "image",
    "ImageScaleToTotalPixels": "image",
    "ResizeAndPadImage": "image",
    "ResizeImageMaskNode": "input",
}
MAX_TEXT = 100_000
MAX_NUMBER = 2**64
MEGAPIXEL = 1024 * 1024


@attrs.frozen
class Picture:
    """A picture that a workflow shows to a model.

    Attributes:
        file: Its name, as a relative path.
        area: Pixels it is scaled to; 0: what the model's family takes; ``None``: it is not scaled.
    """

    file: str
    area: int | None = attrs.field(default=None, eq=False)


@attrs.frozen
class MaskOf:
    """A mask: what is white in a picture's file, or what is transparent in it.

    Attributes:
        file: Of the picture.
        alpha: Whether its transparency is meant: what is transparent counts.
        invert: Whether what does not count is meant.
    """

    file: str
    alpha: bool = False
    invert: bool = False


@attrs.define(eq=False)
class Reading:
    """Reads a graph and keeps what there is to say of it."""

    graph: Graph
    notes: Notes = attrs.field(factory=Notes)
    memo: dict[Any, Any] = attrs.field(factory=dict)  # a node that is used twice is read once

    def follow(self, value: Any) -> Any:
        """Return a value behind switches and primitives: plain, or a link to another node."""
        while isinstance(value, Link):
            node = self.graph.get(value)
            if node is None:
                return None
            if node.type == "ComfySwitchNode":
                on = self.follow(node.inputs.get("switch"))
                if not isinstance(on, bool):
                    return value
                value = node.inputs.get("on_true" if on else "on_false")
            elif node.type in VALUES:
                value = node.inputs.get(VALUES[node.type])
            elif node.type == "Any Switch (rgthree)":
                value = next(iter(node.links().values()), None)
            else:
                return value
            self.notes.read([node])
        return value

    def node(self, value: Any) -> Node | None:
        """Return the node that a value comes from, behind switches, as one that was understood."""
        node = self.graph.get(self.follow(value))
        if node is not None:
            self.notes.read([node])
        return node

    def text(self, value: Any) -> str | Node:
        """Return a text, or the node that makes it when the workflow runs."""
        value = self.follow(value)
        node = self.graph.get(value)
        if node is None:
            return value if isinstance(value, str) else ""
        if node.type != "StringConcatenate":
            return node
        if node.id not in self.memo:
            self.notes.read([node])
            self.memo[node.id] = self._joined(node)
        joined: str | Node = self.memo[node.id]
        return joined

    def _joined(self, node: Node) -> str | Node:
        parts = [self.text(node.inputs.get(name)) for name in ("string_a", "string_b", "delimiter")]
        for part in parts:
            if isinstance(part, Node):
                return part
        first, second, between = map(str, parts)
        if len(first) + len(second) > MAX_TEXT:
            raise InputError(f"its prompt is longer than {MAX_TEXT} letters")
        return f"{first}{between}{second}"

    def number(self, owner: Node, name: str, default: float | None = None) -> float | None:
        """Return a number of a node; ``default`` where there is none, or none that is known."""
        value = self.follow(owner.inputs.get(name))
        maker = self.graph.get(value)
        if maker is not None:
            self.notes.none(owner, f"its {name} is worked out by {maker} when the workflow runs")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            return default
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            self.notes.none(owner, f"its {name} is beyond any number that is used here")
            return default
        return value

    def whole(self, owner: Node, name: str) -> int | None:
        """Return a whole number of a node, if it has one."""
        value = self.number(owner, name)
        return None if value is None else int(value)

    def picture(self, value: Any) -> Picture | None:
        """Return the picture that a link brings; ``None``: there is none.

        What is made by a node that has no equal stands under a name of its own, which is said.
        """
        area = None
        node = self.node(value)
        while node is not None and (node.type in SCALES or self._is_one_of_one(node)):
            if node.type == "ImageScaleToTotalPixels" and area is None:
                megapixels = self.number(node, "megapixels", 1.0) or 1.0
                area = min(max(int(megapixels * MEGAPIXEL), 1), 2**40)
            elif node.type == "FluxKontextImageScale":
                area = 0 if area is None else area  # about a megapixel, as the family does
            elif node.type in SCALES:
                area = 0 if area is None else area
                self.notes.none(node, "pictures are not resized so here; the model's family sizes"
                                " them, or give --resolution")  # fmt: skip
            if node.type in SCALES:
                value = node.inputs.get(SCALES[node.type])
            else:
                value = next(iter(node.links().values()))
            node = self.node(value)
        if node is None:
            return None
        if node.type in LOADERS:
            return Picture(self.file(node, node.inputs.get("image")), area)
        return Picture(self.stand_in(node, "the picture"), area)

    def stand_in(self, node: Node, what: str, ending: str = "") -> str:
        """Return the name of a file that the user has to make of what a node makes, and say so."""
        name = f"node-{re.sub(r'[^A-Za-z0-9]+', '-', node.id)[:40]}{ending}.png"
        self.notes.todo(node, f"save {what} that it makes as {name}: it is made when the workflow"
                        " runs, and this node has no equal here")  # fmt: skip
        return name

    def file(self, node: Node, name: Any) -> str:
        """Return the name of a file as a relative path that stays in its folder.

        Raises:
            InputError: It is none.
        """
        plain = self.follow(name)
        if not isinstance(plain, str) or not plain.strip():
            raise InputError(f"{node} names no file")
        if not plain.isprintable():
            raise InputError(f"{node} names a file with control characters, {plain[:200]!r}")
        bare = re.sub(r"\s*\[(input|output|temp)\]$", "", plain).replace("\\", "/")
        parts = [part for part in PurePosixPath(bare).parts if part not in {"/", "."}]
        if ".." in parts or bare.startswith("/") or (parts and ":" in parts[0]):
            self.notes.near(node, f"of the path {plain[:200]!r} the name alone is used")
            parts = [part for part in parts if part != ".."][-1:]
        if not parts or not parts[-1].strip(":"):
            raise InputError(f"{node} names no file")
        return "/".join(parts)

    def mask(self, value: Any) -> MaskOf | None:
        """Return the mask that a link brings; ``None``: there is none."""
        value = self.follow(value)
        node = self.node(value)
        invert = False
        while node is not None and node.type == "InvertMask":
            invert = not invert
            value = self.follow(node.inputs.get("mask"))
            node = self.node(value)
        if node is None:
            return None
        if node.type in LOADERS:  # its second output
            return MaskOf(self.file(node, node.inputs.get("image")), alpha=True, invert=invert)
        if node.type == "LoadImageMask":
            alpha = node.inputs.get("channel") == "alpha"
            return MaskOf(self.file(node, node.inputs.get("image")), alpha, invert)
        if node.type == "ImageToMask":
            picture = self.picture(node.inputs.get("image"))
            if picture is not None:
                return MaskOf(picture.file, invert=invert)
        return MaskOf(self.stand_in(node, "the mask", "-mask"), invert=invert)

    def _is_one_of_one(self, node: Node) -> bool:
        return node.type in JOINS and len(node.links()) == 1
