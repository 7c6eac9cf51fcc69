"""The form that ComfyUI runs (its API, and ``prompt`` in pictures): nodes by id, inputs by name."""

from __future__ import annotations

from typing import Any

from refhooks import InputError
from refhooks_comfyui._graph import MAX_NODES as MOST
from refhooks_comfyui._graph import Graph, Link, Node, check_count, word


def is_prompt(data: Any) -> bool:
    """Return whether a value is a prompt: a table of nodes with a ``class_type`` each."""
    return (
        isinstance(data, dict)
        and bool(data)
        and all(isinstance(it, dict) and "class_type" in it for it in data.values())
    )


def read_prompt(data: dict[str, Any]) -> Graph:
    """Return the graph of a prompt.

    Raises:
        InputError: A node has no class or inputs, or there are too many.
    """
    check_count(len(data), "nodes", MOST)
    return Graph({key: _node(key, entry, data) for key, entry in data.items()})


def _node(key: str, entry: dict[str, Any], data: dict[str, Any]) -> Node:
    kind, inputs = entry.get("class_type"), entry.get("inputs", {})
    if not isinstance(kind, str) or not isinstance(inputs, dict):
        raise InputError(f"node {key[:80]!r} has no class_type that is a text, or no inputs")
    meta = entry.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else ""
    read = {name: _value(value, data) for name, value in inputs.items()}
    return Node(key, kind, title if isinstance(title, str) else "", read)


def _value(value: Any, data: dict[str, Any]) -> Any:
    """``["31", 0]`` is output 0 of node 31."""
    is_pair = isinstance(value, list) and len(value) == 2
    if is_pair and isinstance(value[1], int) and not isinstance(value[1], bool):
        node = word(value[0])
        if node in data:
            return Link(node, value[1])
    return value
