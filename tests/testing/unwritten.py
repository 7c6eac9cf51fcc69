"""Plugins that no file holds as they are, and presets that are none."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import attrs
from broken import CALLS, Good, Plugin, conditioning, described, filled

import refhooks as rh

PRESETS = Path(__file__).parent / "wrong_presets"


def twice(number):
    """Take a number for the half of what is meant."""
    return 2.0 * number


@attrs.frozen
class Growing(Good):
    """What is written of it is not what it was made from.

    Attributes:
        gain: As before.
        other: A number.
    """

    other: float = attrs.field(default=1.0, converter=twice)


@attrs.frozen
class Unwritable(Good):
    """Has an option that no file can hold.

    Attributes:
        gain: As before.
        other: Anything.
    """

    other: object = attrs.field(factory=object)


@attrs.frozen
class GrowingSchedule:
    """A schedule of the same kind.

    Attributes:
        start: A number.
    """

    name: ClassVar[str] = "kit-schedule"
    start: float = attrs.field(default=0.1, converter=twice)

    def strength(self, step):
        return self.start


UNWRITTEN = {
    "recipe": described(Growing, __doc__=Growing.__doc__),
    "recipe: unwritable": described(Unwritable, __doc__=Unwritable.__doc__),
    "recipe: another": conditioning(lambda self, inputs: filled(
        self, inputs, lambda latents: latents * (1.0 + next(CALLS)))),
    "recipe: schedule": Plugin(schedules=[GrowingSchedule]),
    "command": Plugin(commands=[rh.CommandEntry("kit-command", "None.", lambda: "a string")]),
    "command: import": Plugin(commands=[rh.CommandEntry("kit-command", "None.", lambda: 1 // 0)]),
    "preset": Plugin(presets=[PRESETS / "without-words.toml"]),
    "preset: method": Plugin(presets=[PRESETS / "without-method.toml"]),
}  # fmt: skip
SAID_OF_FILES = {
    "recipe": "written to a TOML file and read back, its options are others",
    "recipe: unwritable": "which no file can hold",
    "recipe: another": "its recipe makes something else",
    "recipe: schedule": "written to a TOML file and read back, it plans something else",
    "command": "load() returns no click.Command: 'a string'",
    "command: import": "ZeroDivisionError",
    "preset": "has no description",
    "preset: method": "there is no method 'nothing'",
}
