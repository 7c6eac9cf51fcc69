"""Write what the pages for plugin authors take from the code: a shipped method, and real messages.

Each of the common mistakes is made, and what is said is kept.

python docs/write_plugin_page.py
"""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

import refhooks as rh
from refhooks import testing
from refhooks.testing._kit import tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parent / "writing-plugins.md"
MISTAKES_PAGE = Path(__file__).parent / "testing-plugins.md"
MODULE = Path(__file__).parents[1] / "plugins" / "refhooks_guidance" / "__init__.py"
HEAD = "| what is wrong | what is said |\n| --- | --- |\n"
END = "<!-- mistakes -->"


def in_run(**hooks: Callable[..., Any]) -> None:
    """Edit with an object that has these hooks."""
    mine = type("Mine", (), {name: staticmethod(rh.hookimpl(hook)) for name, hook in hooks.items()})
    testing.tiny_editor().edit(
        testing.picture(), "a night", plugins=[mine()], steps=2, seed=0, check="eager"
    )


def of_method(bind: Callable[..., Any]) -> None:
    """Edit with a method whose ``bind`` this is."""
    cls = attrs.frozen(type("Mine", (), {"__doc__": "A method.", "name": "mine", "bind": bind}))
    testing.tiny_editor().edit(
        testing.picture(), "a night", strategy=rh.Stage(cls(), 0.7), steps=2, seed=0
    )


def loading(**members: Any) -> None:
    """Load a module with these members."""
    mine = types.ModuleType("mine")
    vars(mine).update(members)
    rh.Editor(testing.tiny_editor().pipe, plugins=[mine])


def check(
    name: str, hook: Callable[..., Any], *, plain: bool = False, **more: Callable[..., Any]
) -> None:
    """Run one check of the kit on a method with a ``refhooks_conditioning``, and maybe others."""

    class Bound:
        def __init__(self, reference: rh.BoundReference) -> None:
            self.slot, self.latents = reference.index, reference.latents
            vars(self).update({name: rh.hookimpl(function) for name, function in more.items()})

        @rh.hookimpl
        def refhooks_conditioning(self, ctx: rh.Context, inputs: rh.Inputs) -> Any:
            return hook(self, ctx, inputs)

    class Mine:
        """A method."""

        name = "mine"

        def bind(self, reference: rh.BoundReference, run: rh.RunInfo) -> Any:
            return Bound(reference)

    registers = rh.hookimpl(lambda: [Mine if plain else attrs.frozen(Mine)])
    module = types.SimpleNamespace(__name__="mine", refhooks_methods=registers)
    next(task for task in tasks_of(module) if task.check.name == name)()


def fill(self: Any, ctx: rh.Context, inputs: rh.Inputs, **changes: Any) -> rh.Inputs:
    """Fill the slot, with the tokens scaled by the strength."""
    strength = ctx.rows[self.slot].strength
    return inputs.fill(self.slot, rh.Tokens(self.latents * strength, **changes))


def forget(self: Any, ctx: rh.Context, inputs: rh.Inputs) -> None:
    """Fill the slot, and forget to return it."""
    fill(self, ctx, inputs)


def always(self: Any, ctx: rh.Context, inputs: rh.Inputs) -> rh.Inputs:
    """Fill the slot whatever the strength is."""
    del ctx
    return inputs.fill(self.slot, rh.Tokens(self.latents))


def in_place(self: Any, ctx: rh.Context, inputs: rh.Inputs) -> rh.Inputs:
    """Change what is given."""
    inputs.target.mul_(0.9)
    return fill(self, ctx, inputs)


def at_random(self: Any, ctx: rh.Context, inputs: rh.Inputs) -> rh.Inputs:
    """Use the global random state."""
    return inputs.fill(self.slot, rh.Tokens(self.latents + torch.randn_like(self.latents)))


@attrs.frozen
class Taken:
    """A method with a name that is taken."""

    name = "inject"

    def bind(self, reference: rh.BoundReference, run: rh.RunInfo) -> Any:
        """Bind."""


def half(latents: torch.Tensor) -> torch.Tensor:
    """Return the first half of the tokens."""
    return latents[:, : latents.shape[1] // 2]


def no_mark() -> None:
    """Implement a hook without the marker."""
    mine = type("Mine", (), {"refhooks_step": lambda _self, latents: latents})
    testing.tiny_editor().edit(testing.picture(), "a night", plugins=[mine()], steps=2, seed=0)


MISTAKES: dict[str, Callable[[], Any]] = {
    "a hook's name is misspelt": lambda: in_run(refhooks_condition=lambda inputs: inputs),
    "`@rh.hookimpl` is missing": no_mark,
    "an argument's name is misspelt": lambda: in_run(refhooks_step=lambda latent: latent),
    "a run hook is in the module": lambda: loading(
        refhooks_step=rh.hookimpl(lambda latents: latents)
    ),
    "the module registers nothing": loading,
    "the class is not in a list": lambda: loading(refhooks_methods=rh.hookimpl(lambda: Taken)),
    "an instance is registered": lambda: loading(refhooks_methods=rh.hookimpl(lambda: [Taken()])),
    "the list is not returned": lambda: loading(refhooks_methods=rh.hookimpl(lambda: None)),
    "the class has no name": lambda: loading(
        refhooks_methods=rh.hookimpl(
            lambda: [type("Mine", (), {"__module__": "mine", "bind": None})]
        )
    ),
    "the name is taken": lambda: loading(refhooks_methods=rh.hookimpl(lambda: [Taken])),
    "the contract is newer": lambda: loading(
        REFHOOKS_HOOKSPEC="7.0", refhooks_methods=rh.hookimpl(lambda: [Taken])
    ),
    "the plugin is not installed": lambda: rh.method("my-method"),
    "an option is misspelt": lambda: rh.method("inject", formul="add"),
    "`bind` returns nothing": lambda: of_method(lambda _self, reference, run: None),
    "`bind` returns a class": lambda: of_method(lambda _self, reference, run: Taken),
    "the shape changes": lambda: in_run(refhooks_step=half),
    "the dtype changes": lambda: in_run(refhooks_step=lambda latents: latents.double()),
    "tokens come back where inputs should": lambda: in_run(
        refhooks_conditioning=lambda inputs: inputs.slots[0]
    ),
    "the batch dimension is gone": lambda: in_run(
        refhooks_conditioning=lambda inputs: inputs.fill(0, rh.Tokens(inputs.slots[0].latents[0]))
    ),
    "a branch of the family is left out": lambda: in_run(
        refhooks_branches=lambda: [rh.Branch("mine")]
    ),
    "keys are edited that are not there": lambda: in_run(
        refhooks_conditioning=lambda inputs: inputs.fill(0, None),
        refhooks_attention=lambda: [rh.AttentionEdit(0, weight=torch.tensor(0.5))],
    ),
    "a weight is below 0": lambda: in_run(
        refhooks_attention=lambda: [rh.AttentionEdit(0, weight=torch.tensor(-0.5))],
    ),
    "a key scale has another length": lambda: in_run(
        refhooks_attention=lambda: [rh.AttentionEdit(0, key_scale=torch.ones(7))]
    ),
    'a NaN appears (`edit(check="eager")`)': lambda: in_run(
        refhooks_velocity=lambda velocity: velocity * float("nan")
    ),
    "it raises": lambda: in_run(refhooks_step=lambda ctx: 1 / ctx.step.index),
    "`return` is forgotten (kit: `acts`)": lambda: check("acts", forget),
    "the strength is not used (kit: `strength`)": lambda: check("strength", always),
    "an input is changed in place (kit: `mutation`)": lambda: check("mutation", in_place),
    "it draws global random numbers (kit: `global-state`)": lambda: check(
        "global-state", at_random
    ),
    "the whole velocity is used (kit: `inside`)": lambda: check(
        "inside", fill, refhooks_velocity=lambda velocity: velocity / velocity.std()
    ),
    "the class is no frozen value (kit: `signature`)": lambda: check("signature", fill, plain=True),
}


def message(mistake: Callable[[], Any]) -> str:
    """Make a mistake and return what is said, with its type and its notes."""
    try:
        mistake()
    except Exception as error:  # noqa: BLE001  whatever it is, it is what an author sees
        notes = "".join(f" — {note}" for note in getattr(error, "__notes__", ()))
        said = f"{type(error).__name__}: {' '.join(str(error).split())}{notes}"
        return said.replace("|", "\\|").replace("<", "&lt;")
    raise SystemExit("a mistake went unnoticed")


def module() -> str:
    """Return the shipped module, but for the lines that name what was measured of it."""
    lines = MODULE.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not re.search(r"\bmarks\b|import Path$", line))


def with_module(text: str) -> str:
    """Return the page with the shipped module as it is today."""
    code = f"```python\n{module()}```"
    return _between(text, "<!-- module -->\n", code, "\n<!-- end of module -->")


def with_table(text: str) -> str:
    """Return the page with the table of today's messages."""
    rows = "".join(f"| {what} | {message(mistake)} |\n" for what, mistake in MISTAKES.items())
    return _between(text, HEAD, rows, END)


def _between(text: str, start: str, new: str, end: str) -> str:
    pattern = re.escape(start) + r".*?" + re.escape(end)
    replaced, count = re.subn(pattern, lambda _: start + new + end, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"the page has {count} places from {start!r} to {end!r}; it needs one")
    return replaced


if __name__ == "__main__":
    for place, renewed in ((PAGE, with_module), (MISTAKES_PAGE, with_table)):
        place.write_text(renewed(place.read_text(encoding="utf-8")), encoding="utf-8")
