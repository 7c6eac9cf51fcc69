"""claims.toml, read: claims with their tests, each finding of a test as one value."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from refhooks.errors import InputError
from refhooks_toy import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = Path(__file__).parents[1] / "claims.toml"
ALL = tuple(kind for kind in EDIT_KINDS if kind != TWO_PICTURES)
GROUPS = {
    "all": ALL,
    "local": tuple(kind for kind in ALL if kind not in WHOLE_PICTURE),
    "whole": tuple(kind for kind in ALL if kind in WHOLE_PICTURE),
}
OWN = ("attention", "chain")  # what _own.py measures, as kinds of its own
EXPECTED = ("above", "below", "not-above", "not-below", "same")
SCENES = ("main", "more", "few")
RULES = ("all", "first")
FILLED = ("say", "cell", "other", "method", "kinds")


def kinds_of(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the kinds of edit that a group, a name or a list of names means.

    Raises:
        InputError: One is none.
    """
    kinds = GROUPS.get(value, (value,)) if isinstance(value, str) else value
    for kind in kinds:
        if kind not in (*ALL, *OWN):
            raise InputError(f"there is no kind of edit {kind!r}: {', '.join((*ALL, *OWN))}")
    return kinds


def _several(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@attrs.frozen
class Where:
    """Which scenes count: those in which a cell has a measure in a range.

    Attributes:
        cell, measure: Of what.
        above, below: The range, exclusive.
        lowest: Or else this share of the scenes, those with the lowest values.
    """

    cell: str
    measure: str
    above: float = -float("inf")
    below: float = float("inf")
    lowest: float | None = None


@attrs.frozen
class ClaimTest:
    """One finding to be made; what claims.toml says of a test, with its ``{}`` filled in."""

    say: str
    cell: tuple[str, ...] = attrs.field(default=(), converter=_several)
    other: tuple[str, ...] = attrs.field(default=(), converter=_several)
    measure: str = ""
    kinds: tuple[str, ...] = attrs.field(default="all", converter=kinds_of)
    scenes: str = attrs.field(default="main", validator=attrs.validators.in_(SCENES))
    expect: str = attrs.field(default="", validator=attrs.validators.in_(("", *EXPECTED)))
    within: tuple[float, float] | None = None
    margin: float = 0.05
    times: float = 1.0
    where: Where | None = None
    function: str = ""
    base: str = ""
    cells: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    method: str = ""
    strengths: tuple[float, ...] = ()
    most: float = 0.0

    def __attrs_post_init__(self) -> None:
        """Check that it is a comparison, a range, or something that a function tests."""
        measured = bool(self.cell and self.measure)
        ranges = self.within is not None
        if not self.function and (not measured or ranges == bool(self.expect)):
            raise InputError(
                f"the test {self.say!r} needs cell, measure, and either expect or within; or a"
                " function"
            )
        if ranges and self.other:
            raise InputError(f"the test {self.say!r}: what lies within a range has no other")
        mixed = {kind in WHOLE_PICTURE for kind in self.kinds}
        if self.measure == "balance" and len(mixed) > 1:
            raise InputError(
                f"the test {self.say!r}: a balance is of local kinds or of whole-picture kinds,"
                " never of both together"
            )


@attrs.frozen
class Claim:
    """A claim of the source notes.

    Attributes:
        id, section, claim: As in claims.toml.
        how: How it is measured.
        tests: The findings to be made.
        rule: ``all``: every finding counts; ``first``: the first decides whether it holds.
        presets: Shipped presets that it is about, each with the text that a finding's ``say`` must
            hold to be about that preset; empty: all of them are.
    """

    id: str
    section: str
    claim: str
    how: str
    tests: tuple[ClaimTest, ...]
    rule: str = attrs.field(default="all", validator=attrs.validators.in_(RULES))
    presets: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Monotone:
    """What is asked of strength itself.

    Attributes:
        methods: In their default forms.
        strengths: Over which *kept* must not fall.
        steps_at: Strengths at which other numbers of steps are tried.
        steps: Those numbers, compared with the steps of the run.
    """

    methods: tuple[str, ...]
    strengths: tuple[float, ...]
    steps_at: tuple[float, ...]
    steps: tuple[int, ...]


def read_claims(path: Path = FILE) -> tuple[tuple[Claim, ...], Monotone]:
    """Return what claims.toml says.

    Raises:
        InputError: A claim or a test is none; the message names it.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    claims = tuple(_claim(table, path.name) for table in data["claim"])
    return claims, _structured(Monotone, data["monotone"], f"{path.name}: monotone")


def _claim(table: Mapping[str, Any], name: str) -> Claim:
    label = f"{name}: claim {table.get('id')}"
    rest = {key: value for key, value in table.items() if key != "test"}
    tests = [it for given in table.get("test", []) for it in _filled(given, label)]
    if not tests:
        raise InputError(f"{label}: there is no [[claim.test]]")
    return _structured(Claim, {**rest, "tests": tests}, label)


def _filled(table: Mapping[str, Any], label: str) -> list[ClaimTest]:
    rest = {key: value for key, value in table.items() if key != "for"}
    if "for" not in table:
        return [_structured(ClaimTest, rest, label)]
    return [
        _structured(
            ClaimTest,
            {key: _fill(value, entry) if key in FILLED else value for key, value in rest.items()},
            label,
        )
        for entry in table["for"]
    ]


def _fill(value: Any, entry: str) -> Any:
    if isinstance(value, list):
        return [it.replace("{}", entry) for it in value]
    return value.replace("{}", entry)


def _structured(kind: Any, table: Mapping[str, Any], label: str) -> Any:
    given = {key: tuple(it) if isinstance(it, list) else it for key, it in table.items()}
    try:
        if isinstance(given.get("where"), dict):
            given["where"] = Where(**given["where"])
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{label}: {error}") from error
