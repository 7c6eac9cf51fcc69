"""A workflow as a graph: nodes with named inputs, each a plain value or a link to an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refhooks import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NODES = 5_000
MAX_LINKS = 20_000
MAX_CHAIN = 200  # nodes that follow on each other: what reads them calls itself
MAX_NAME = 120  # letters of a type or title that are shown


@attrs.frozen
class Link:
    """An output of a node: its id and the number of the output."""

    node: str
    slot: int


@attrs.frozen(eq=False)
class Node:
    """A node of a workflow.

    Attributes:
        id: Unique; ``170:149`` is node 149 of the subgraph that node 170 stands for.
        type: Name of its class.
        title: What the user called it; empty: nothing.
        inputs: Links and plain values, by their names.
    """

    id: str
    type: str
    title: str
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        """Return how messages name it; what a stranger wrote is quoted."""
        words = [repr(self.type[:MAX_NAME])[1:-1]]
        if self.title and self.title != self.type:
            words.append(repr(self.title[:MAX_NAME]))
        return f"node {repr(self.id[:MAX_NAME])[1:-1]} ({', '.join(words)})"

    def links(self) -> dict[str, Link]:
        """Return its inputs that are links."""
        return {name: it for name, it in self.inputs.items() if isinstance(it, Link)}


@attrs.frozen(eq=False)
class Graph:
    """All nodes of a workflow that would run, by their ids.

    Raises:
        InputError: There are too many, or links form a circle or a chain that is too long.
    """

    nodes: Mapping[str, Node]

    def __attrs_post_init__(self) -> None:
        check_count(len(self.nodes), "nodes", MAX_NODES)
        check_count(sum(len(node.links()) for node in self.nodes.values()), "links", MAX_LINKS)
        self._check_order()

    def get(self, link: Any) -> Node | None:
        """Return the node that a link comes from; ``None``: it is no link, or leads nowhere."""
        return self.nodes.get(link.node) if isinstance(link, Link) else None

    def before(self, node: Node) -> list[Node]:
        """Return the nodes that a node's links come from."""
        found = [self.get(link) for link in node.links().values()]
        return [it for it in found if it is not None]

    def ancestors(self, starts: Iterable[Node]) -> dict[str, Node]:
        """Return nodes and all that they depend on, by their ids."""
        seen: dict[str, Node] = {}
        waiting = list(starts)
        while waiting:
            node = waiting.pop()
            if node.id not in seen:
                seen[node.id] = node
                waiting += self.before(node)
        return seen

    def sinks(self) -> list[Node]:
        """Return the nodes whose outputs go nowhere."""
        used = {it.id for node in self.nodes.values() for it in self.before(node)}
        return [node for node in self.nodes.values() if node.id not in used]

    def _check_order(self) -> None:
        """Every node after those that it depends on; the rest stands in a circle."""
        waits = {key: len(self.before(node)) for key, node in self.nodes.items()}
        after: dict[str, list[str]] = {key: [] for key in self.nodes}
        for key, node in self.nodes.items():
            for earlier in self.before(node):
                after[earlier.id].append(key)
        depth = dict.fromkeys(self.nodes, 1)
        ready = [key for key, count in waits.items() if not count]
        done = 0
        while ready:
            key = ready.pop()
            done += 1
            for later in after[key]:
                depth[later] = max(depth[later], depth[key] + 1)
                waits[later] -= 1
                if not waits[later]:
                    ready.append(later)
        if done < len(self.nodes):
            circle = [self.nodes[key] for key, count in waits.items() if count][:3]
            raise InputError(f"its links form a circle, at {', '.join(map(str, circle))}")
        if max(depth.values(), default=0) > MAX_CHAIN:
            raise InputError(f"more than {MAX_CHAIN} of its nodes follow on each other")


def check_count(count: int, what: str, most: int) -> None:
    """Refuse more than a workflow may have.

    Raises:
        InputError: There are more.
    """
    if count > most:
        raise InputError(f"it has {count} {what}; at most {most} are read")


def word(value: Any) -> str:
    """Return a number or text that names a node or a type as a text; of anything else nothing."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return str(value)
