"""Made-up scorecards for the claims of the guide."""

from __future__ import annotations

import numpy as np
from _claims._cells import cell
from _claims._evidence import Evidence
from _claims._read import ALL, kinds_of, read_claims
from _claims._run import all_needs

SIZES = {"main": 8, "more": 16, "few": 4}
THIRDS = ("first third", "middle third", "last third")


def told(name):
    """What a card says of a cell besides its values."""
    if name.startswith("chain") or name.endswith("watched"):
        return {"denoise": 1.0, "steps": 16, "cfg": 2.0, "seed": 0, "strategy": None}
    known = cell(name)
    return {
        "denoise": known.denoise, "steps": known.steps or 16, "cfg": 2.0, "seed": known.seed,
        "strategy": None,
    }  # fmt: skip


def card(cells, *, group="main", scenes=None):
    """Return a card of ``{cell: {measure: {kind: values}}}``; a number is that of every scene."""
    size = scenes or SIZES[group]
    kinds = dict.fromkeys(kind for rows in cells.values() for row in rows.values() for kind in row)
    made = []
    for name, rows in cells.items():
        values = {
            measure: {
                kind: [row[kind]] * size if np.isscalar(row[kind]) else list(row[kind])
                for kind in row
            }
            for measure, row in rows.items()
        }
        made.append({"name": name, **told(name), "values": values})
    return {
        "group": group,
        "kinds": {kind: [f"{kind} {number}" for number in range(size)] for kind in kinds},
        "cells": made,
    }


def compared(measure, one, other, *, kinds="local", group="main"):
    """Return the evidence of two cells, ``one`` and ``other``, with values one a scene."""
    names = {"inject 1": one, "default 1": other}
    cells = {name: {measure: dict.fromkeys(kinds_of(kinds), row)} for name, row in names.items()}
    return Evidence.of([card(cells, group=group, scenes=len(one))])


def everything():
    """Return cards with made-up numbers for all that the claims need."""
    wanted = {group: {} for group in SIZES}
    for need in all_needs(*read_claims()):
        rows = wanted[need.scenes].setdefault(need.cell, {})
        for measure in need.measures:
            rows.setdefault(measure, set()).update(need.kinds)
    for name in wanted["main"]:  # any of them may turn out to be the best
        wanted["more"].setdefault(name, {it: set(ALL) for it in ("done", "kept", "edges")})
    cards = [
        card({name: _rows(name, rows, SIZES[group]) for name, rows in cells.items()}, group=group)
        for group, cells in wanted.items()
    ]
    watched = {it: {"attention": [0.2, 0.21, 0.19, 0.2, 0.22, 0.2, 0.18, 0.2]} for it in THIRDS}
    own = {
        "default 1 watched": watched,
        "chain 0.6 0.9 1.2": {"done": {"chain": 0.7}, "kept": {"chain": 0.6}},
        "chain 0.9 0.9 0.9": {"done": {"chain": 0.5}, "kept": {"chain": 0.5}},
    }
    return [*cards, *(card({name: rows}, group="own", scenes=8) for name, rows in own.items())]


def _rows(name, rows, size):
    """Whole pictures have no `kept`, local edits no edges; the rest has a level of its own."""
    made = {}
    for measure, kinds in rows.items():
        level = np.random.default_rng(list(f"{name} {measure}".encode())).uniform(0.1, 0.9)
        lacks = {"kept": kinds_of("whole"), "edges": kinds_of("local")}.get(measure, ())
        made[measure] = {
            kind: [
                None if kind in lacks else round(level + 0.05 * np.sin(number + 1), 5)
                for number in range(size)
            ]
            for kind in sorted(kinds)
        }
    return made
