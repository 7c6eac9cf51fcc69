"""What is said of an import: what differs, what has no equal, what is to be done first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from refhooks_comfyui._graph import Node

NEAR = "differs"
NONE = "no equal"
DO = "to do"


@attrs.frozen
class Note:
    """A sentence on a node.

    Attributes:
        kind: ``differs``, ``no equal`` or ``to do``.
        node: Its id.
        type: Its class.
        title: As the user called it.
        label: All three, as messages name it.
        text: What there is to know.
    """

    kind: str
    node: str
    type: str
    title: str
    label: str
    text: str


@attrs.define
class Notes:
    """What is to be said, each thing once, and which nodes were understood."""

    entries: list[Note] = attrs.field(factory=list)
    known: set[str] = attrs.field(factory=set)

    def add(self, kind: str, node: Node, text: str) -> None:
        """Say something of a node, which is then understood."""
        note = Note(kind, node.id, node.type, node.title, str(node), text)
        self.known.add(node.id)
        if note not in self.entries:
            self.entries.append(note)

    def near(self, node: Node, text: str) -> None:
        """Say in what an equal differs."""
        self.add(NEAR, node, text)

    def none(self, node: Node, text: str) -> None:
        """Say why something has no equal."""
        self.add(NONE, node, text)

    def todo(self, node: Node, text: str) -> None:
        """Say what the user has to do before the command works."""
        self.add(DO, node, text)

    def read(self, nodes: Iterable[Node]) -> None:
        """Mark nodes as understood, with nothing to say of them."""
        self.known.update(node.id for node in nodes)
