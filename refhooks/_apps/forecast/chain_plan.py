"""What each edit of a chain would do at every step, before there is a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from refhooks._apps.chains.requests import denoise_of, named, over_edits, strategy_of
from refhooks._apps.forecast.planned import Native, plan
from refhooks._core.planning.strategy import Reference
from refhooks._core.plugins.loading import load_registry

if TYPE_CHECKING:
    from refhooks._apps.chains.chain import Chain, Edit
    from refhooks._core.contract.methods import Method
    from refhooks._core.models.loaded import LoadedModel
    from refhooks._core.planning.timetable import Timetable


def chain_timetables(
    chain: Chain,
    steps: int | None,
    editor: LoadedModel | None,
    *,
    height: int | None,
    width: int | None,
) -> list[Timetable]:
    """Return the timetable of each edit.

    Args:
        chain: The edits.
        steps: Of the edits that say none.
        editor: Its noise levels are used.
        height: Of the output in pixels; noise levels may depend on it.
        width: Likewise.

    Raises:
        InputError: The chain does not fit that many steps or the model, or nothing says how many
            steps there are.
        UnknownNameError: A name that no live plugin registers.
    """
    registry = load_registry()
    native: str | Method = Native() if editor is None else editor.family.native
    strengths, denoise = [over_edits(registry, chain, name) for name in ("strength", "denoise")]
    tables = []
    for place, edit in enumerate(chain.edits):
        with named(place, len(chain.edits)):
            first = Reference("", strategy_of(edit, strengths, place, native))
            tables.append(
                plan(
                    [first, *_others(edit, place)],
                    edit.steps or steps,
                    editor=editor,
                    height=height,
                    width=width,
                    denoise=denoise_of(edit, denoise, place),
                )
            )
    return tables


def _others(edit: Edit, place: int) -> list[Reference]:
    """The references beside the first, without their pictures."""
    both = place > 0 and edit.reference == "both"
    original = [Reference("", edit.original)] if both else []
    return [*original, *(attrs.evolve(entry, image="") for entry in edit.references)]
