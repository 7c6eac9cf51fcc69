"""The form that ComfyUI saves: nodes with positions, links by number, subgraphs inside.

What does not run is taken out as its front end takes it out: muted nodes, bypassed ones, reroutes,
primitives, nodes that set and get by name, and subgraphs, whose nodes take their place.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs

from refhooks import InputError
from refhooks_comfyui._graph import (
    MAX_LINKS,
    MAX_NODES,
    Graph,
    Link,
    Node,
    check_count,
    word,
)
from refhooks_comfyui._widgets import widget_values

NEVER, BYPASS = 2, 4  # a node's ``mode``
INPUT, OUTPUT = "-10", "-20"  # where links of a subgraph begin and end
NOTES = ("Note", "MarkdownNote")
REROUTES = ("Reroute", "ReroutePrimitive|pysssss", "Reroute (rgthree)")
MAX_DEPTH = 12
MAX_HOPS = 1_000
UNSET = object()


def is_saved(data: Any) -> bool:
    """Return whether a value is a saved workflow."""
    return isinstance(data, dict) and isinstance(data.get("nodes"), list)


def read_saved(data: dict[str, Any]) -> Graph:
    """Return the graph of a saved workflow.

    Raises:
        InputError: It is damaged, there is too much of it, or subgraphs stand in themselves.
    """
    definitions = data.get("definitions")
    subgraphs = _tables(definitions.get("subgraphs")) if isinstance(definitions, dict) else []
    known = {word(it.get("id")): it for it in subgraphs if is_saved(it)}
    whole = Scope(data)
    _build(whole, known, [0, 0], 0)
    return Graph(_flat(whole))


@attrs.define(eq=False, slots=False)
class Scope:
    """A workflow, or a subgraph where it stands.

    Attributes:
        data: As saved.
        prefix: Of its nodes' ids.
        parent: Where it stands.
        instance: The node that stands for it there.
    """

    data: dict[str, Any]
    prefix: str = ""
    parent: Scope | None = None
    instance: dict[str, Any] = attrs.field(factory=dict)
    inner: dict[str, Scope] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.nodes = {word(it.get("id")): it for it in _tables(self.data.get("nodes"))}
        links = self.data.get("links")
        entries = links if isinstance(links, list) else []
        check_count(len(entries), "links", MAX_LINKS)
        self.links = dict(filter(None, map(_link, entries)))
        self.inputs = _tables(self.data.get("inputs"))

    @cached_property
    def given(self) -> dict[str, str]:
        """The links that the instance is given, by the names of its inputs."""
        entries = _tables(self.instance.get("inputs"))
        return {word(it.get("name")): word(it.get("link")) for it in entries}

    @cached_property
    def outputs(self) -> dict[int, str]:
        """The links that lead to the outputs of the subgraph, by their numbers."""
        return {end[3]: number for number, end in self.links.items() if end[2] == OUTPUT}

    @cached_property
    def promoted(self) -> dict[str, Any]:
        """The values of the instance's own widgets, by the names of the inputs."""
        values = self.instance.get("widgets_values")
        if isinstance(values, dict):
            return values
        names = [word(it.get("name")) for it in self.inputs if self._is_widget(it)]
        if not isinstance(values, list) or len(values) != len(names):
            return {}
        return dict(zip(names, values, strict=True))

    def _is_widget(self, entry: dict[str, Any]) -> bool:
        """Whether an input of the subgraph leads to a widget inside."""
        numbers = entry.get("linkIds")
        for number in numbers if isinstance(numbers, list) else []:
            end = self.links.get(word(number))
            inner = None if end is None else self.nodes.get(end[2])
            inputs = [] if inner is None else _tables(inner.get("inputs"))
            if end is not None and 0 <= end[3] < len(inputs) and inputs[end[3]].get("widget"):
                return True
        return False


def _build(scope: Scope, known: dict[str, dict[str, Any]], size: list[int], depth: int) -> None:
    """Build the scopes of all subgraphs inside; ``size``: nodes and links so far."""
    if depth > MAX_DEPTH:
        raise InputError(f"its subgraphs stand in each other more than {MAX_DEPTH} deep")
    size[0] += len(scope.nodes)
    size[1] += len(scope.links)
    check_count(size[0], "nodes", MAX_NODES)
    check_count(size[1], "links", MAX_LINKS)
    for key, node in scope.nodes.items():
        kind = word(node.get("type"))
        if kind in known and node.get("mode") not in (NEVER, BYPASS):
            scope.inner[key] = Scope(known[kind], f"{scope.prefix}{key}:", scope, node)
            _build(scope.inner[key], known, size, depth + 1)


def _flat(scope: Scope) -> dict[str, Node]:
    nodes = {
        scope.prefix + key: _node(scope, key, node)
        for key, node in scope.nodes.items()
        if key not in scope.inner and _runs(node)
    }
    for inner in scope.inner.values():
        nodes |= _flat(inner)
    return nodes


def _runs(node: dict[str, Any]) -> bool:
    kind = word(node.get("type"))
    virtual = kind in (*NOTES, *REROUTES, "PrimitiveNode", "SetNode", "GetNode")
    return not virtual and node.get("mode") not in (NEVER, BYPASS)


def _node(scope: Scope, key: str, node: dict[str, Any]) -> Node:
    kind = node.get("type")
    if not isinstance(kind, str):
        raise InputError(f"node {key[:80]!r} has no type that is a text")
    inputs = dict(widget_values(node))
    for entry in _tables(node.get("inputs")):
        number = word(entry.get("link"))
        value = follow(scope, number) if number else UNSET
        if value is not UNSET:
            inputs[word(entry.get("name"))] = value
    title = node.get("title")
    return Node(scope.prefix + key, kind, title if isinstance(title, str) else "", inputs)


def follow(scope: Scope, number: str) -> Any:
    """Return what a link brings: a :class:`Link` to a node that runs, a value, or ``UNSET``.

    Raises:
        InputError: Links form a circle on the way.
    """
    place: Scope = scope
    for _ in range(MAX_HOPS):
        end = place.links.get(number)
        if end is None:
            return UNSET
        origin, slot = end[0], end[1]
        if origin == INPUT and place.parent is not None:
            found = _from_outside(place, slot)
        elif origin in place.inner:
            found = _from_inside(place.inner[origin], slot)
        else:
            found = _past(place, origin, slot)
        if not isinstance(found, tuple):
            return found
        place, number = found
    raise InputError("its links form a circle")


def _from_outside(scope: Scope, slot: int) -> Any:
    """What the instance is given for an input of the subgraph."""
    if scope.parent is None or not 0 <= slot < len(scope.inputs):
        return UNSET
    name = word(scope.inputs[slot].get("name"))
    number = scope.given.get(name)
    return (scope.parent, number) if number else scope.promoted.get(name, UNSET)


def _from_inside(scope: Scope, slot: int) -> Any:
    """What leads to an output of a subgraph."""
    number = scope.outputs.get(slot)
    return UNSET if number is None else (scope, number)


def _past(scope: Scope, origin: str, slot: int) -> Any:
    """A node that runs; or what leads to one that does not."""
    node = scope.nodes.get(origin)
    if node is None or node.get("mode") == NEVER:
        return UNSET
    kind = word(node.get("type"))
    if node.get("mode") == BYPASS:
        return _bypassed(scope, node, slot)
    if kind in REROUTES or kind == "SetNode":
        return _through(scope, _tables(node.get("inputs"))[:1])
    if kind == "PrimitiveNode":
        values = node.get("widgets_values")
        return values[0] if isinstance(values, list) and values else UNSET
    if kind == "GetNode":
        return _by_name(scope, _first_value(node))
    return Link(scope.prefix + origin, slot)


def _bypassed(scope: Scope, node: dict[str, Any], slot: int) -> Any:
    """It hands on the input of the type of its output: that of the same number, else the first."""
    outputs, inputs = _tables(node.get("outputs")), _tables(node.get("inputs"))
    kind = outputs[slot].get("type") if 0 <= slot < len(outputs) else None
    same = [entry for entry in inputs if kind is not None and entry.get("type") == kind]
    if 0 <= slot < len(inputs) and inputs[slot] in same:
        return _through(scope, [inputs[slot]])
    return _through(scope, same[:1])


def _through(scope: Scope, entries: list[dict[str, Any]]) -> Any:
    number = word(entries[0].get("link")) if entries else ""
    return (scope, number) if number else UNSET


def _by_name(scope: Scope, name: Any) -> Any:
    place: Scope | None = scope
    while place is not None:
        for node in place.nodes.values():
            if node.get("type") == "SetNode" and _first_value(node) == name:
                return _through(place, _tables(node.get("inputs"))[:1])
        place = place.parent
    return UNSET


def _first_value(node: dict[str, Any]) -> Any:
    values = node.get("widgets_values")
    return values[0] if isinstance(values, list) and values else None


def _tables(data: Any) -> list[dict[str, Any]]:
    return [it for it in data if isinstance(it, dict)] if isinstance(data, list) else []


def _link(data: Any) -> tuple[str, tuple[str, int, str, int]] | None:
    """A link's number, and where it begins and ends; it is a list or a table."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
    parts = [data.get(name) for name in names] if isinstance(data, dict) else data
    if not isinstance(parts, list) or len(parts) < 5:
        return None
    number, origin, slot, target, end = (word(part) for part in parts[:5])
    if not (slot.isdecimal() and end.isdecimal()):
        return None
    return number, (origin, int(slot), target, int(end))
