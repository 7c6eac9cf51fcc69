"""Run beside the plugins that `refhooks new` wrote: one edit with all of them, by name."""

import sys

from new_family_tiny import tiny_pipeline

import refhooks as rh

registry = rh.load_registry()
source = next(iter(registry.models["toy"].samples()))
strategy = rh.Strategy(
    [
        rh.Stage("new-attention", rh.schedule("new-schedule"), until=rh.switch("new-switch")),
        rh.Stage("new-conditioning", 0.7),
    ],
    masks=[rh.mask(shape="new-mask", share=0.8)],
)
editor = rh.Editor.from_pretrained("toy")
result = editor.edit(
    source,
    "make it night",
    strategy=strategy,
    references=[rh.Reference(source, rh.Stage("new-step", 0.5))],
    plugins=[rh.plugin("new-plugin", amount=0)],
    steps=4,
    seed=0,
)
(path,) = result.save("new.png")
methods = [step.rows[0].method for step in result.timetable.steps]
assert methods == ["new-attention"] * 2 + ["new-conditioning"] * 2, methods
print(f"edited with every new plugin: {path}", file=sys.stderr)

family = rh.Editor(tiny_pipeline(), checkpoint=rh.Checkpoint(reference=32 * 32))
result = family.edit(
    source,
    "make it night",
    strategy=rh.Stage("new-conditioning", 0.7),
    height=32,
    width=32,
    steps=2,
    seed=0,
)
assert family.family.name == "new-family", family
result.save("new-family.png")
print("edited with a model of the new family", file=sys.stderr)
