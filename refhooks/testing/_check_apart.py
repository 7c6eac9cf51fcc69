"""Checks that runs are kept apart: from each other, from the process, from what comes after."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch._dynamo import config
from torch._dynamo.exc import TorchDynamoException

from refhooks._core.plugins.inline import plugin_name
from refhooks._core.plugins.loading import GROUP, register_plugin
from refhooks._core.plugins.registry import Registry
from refhooks.hookspecs import hookimpl
from refhooks.testing._bench import STEPS, Bench
from refhooks.testing._check_runs import CLOSE, equal
from refhooks.testing._report import CheckFailed
from refhooks.testing._subject import KINDS
from refhooks.testing._tiny import tiny_pipeline
from refhooks.testing._watch import (
    HOOKS,
    check_same_model,
    check_same_state,
    on_model,
    process_state,
    seed_everything,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from refhooks._editor import Editor
    from refhooks.testing._subject import Subject

COMPILED = (0.4, 1.1)
"""Strengths that compiled code must take as they come."""


def no_global_state(bench: Bench) -> None:
    """It neither reads nor changes what belongs to the process, such as global random numbers."""
    expected = bench.plain
    with torch.random.fork_rng(devices=[]):
        seed_everything(2)
        before = process_state()
        latents = bench.edit().latents
        check_same_state(before, process_state())
    equal(expected, latents, "it depends on the process's random numbers; take run.noise")


def install_order(bench: Bench) -> None:
    """In whichever order plugins are installed, it does the same."""
    plugins = _plugins(bench.subject)
    for order in (sorted(plugins), sorted(plugins, reverse=True)):
        registry = Registry(records=(), methods={}, families={}, models={})
        for name in order:
            register_plugin(plugins[name], name, registry)
        registered = getattr(registry, KINDS[bench.subject.kind])[bench.subject.name]
        subject = attrs.evolve(bench.subject, registry=registry, registered=registered)
        equal(bench.plain, Bench(subject).edit().latents, "it depends on the order of installation")


def _plugins(subject: Subject) -> dict[str, object]:
    live = {record.name for record in subject.registry.records if record.state == "live"}
    plugins = {
        point.name: point.load() for point in entry_points(group=GROUP) if point.name in live
    }
    if subject.source is not None:
        plugins[plugin_name(subject.source)] = subject.source
    return plugins


def two_editors(bench: Bench) -> None:
    """A run inside another one, on another model, leaves it alone."""
    expected, inner = bench.edit(pictures=[1]).latents, []
    instance = bench.subject.made()

    class Between:
        @hookimpl(trylast=True)
        def refhooks_conditioning(self, ctx: Any) -> None:
            if ctx.step.index == 0:
                result = bench.edit(instance=instance, editor=bench.editor(1), pictures=[1])
                inner.append(result.latents)

    outer = bench.edit(instance=instance, plugins=[Between()]).latents
    equal(expected, inner[0], "a run of a second editor, started inside one, gives other latents")
    equal(bench.plain, outer, "a run in which a second editor runs gives other latents")


def after_exception(bench: Bench) -> None:
    """Whatever fails at whichever hook, the model is as before, and so is the next picture."""
    check_faults(bench.editor().pipe, lambda plugins: bench.edit(plugins=plugins).latents)


def check_faults(
    pipe: Any, edit: Callable[[Sequence[object]], torch.Tensor], hooks: Sequence[str] = HOOKS
) -> None:
    """Edit with each of these hooks failing in turn.

    Raises:
        CheckFailed: The model is not as it was, or the next edit gives something else.
    """
    expected = edit(())
    before = on_model(pipe)
    edit(())
    check_same_model(before, on_model(pipe))
    for hook in hooks:
        try:
            edit([_failing(hook)])
        except _OnPurposeError:
            check_same_model(before, on_model(pipe))
        else:
            raise CheckFailed(f"an exception in {hook} is lost")
    equal(expected, edit(()), "after an exception the same call gives other latents")


class _OnPurposeError(Exception):
    pass


def _failing(hook: str) -> object:
    """An object whose hook raises at the last step at which it is called."""
    last = STEPS - 2 if hook == "refhooks_strengths" else STEPS - 1

    def fail(ctx: Any) -> None:
        if ctx.step.index == last:
            raise _OnPurposeError

    return type("Failing", (), {hook: staticmethod(hookimpl(trylast=True)(fail))})()


def compiles(bench: Bench) -> None:
    """The model's blocks compile whole with it, and once for all strengths."""
    expected = [bench.edit(strength=strength).latents for strength in COMPILED]
    pipe = tiny_pipeline("plus", "middle")
    torch.compiler.reset()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own
            pipe.transformer.compile_repeated_blocks(fullgraph=True, backend="eager")
            compiled = _compiled(bench, bench.on(pipe))
    except TorchDynamoException as error:
        raise CheckFailed(_reason(error)) from error
    finally:
        torch.compiler.reset()
    for ours, theirs in zip(compiled, expected, strict=True):
        if not torch.allclose(ours, theirs, atol=CLOSE):
            raise CheckFailed("compiled blocks give other latents")


def _compiled(bench: Bench, editor: Editor) -> list[torch.Tensor]:
    bench.edit(editor=editor, strength=0.7)
    with config.patch(error_on_recompile=True):
        return [bench.edit(editor=editor, strength=strength).latents for strength in COMPILED]


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    if kind == "RecompileError":
        return (
            "another strength compiles the blocks again; let it reach them as a tensor's value, and"
            " keep shapes and which edits there are the same"
        )
    return f"the blocks do not compile whole: {kind}: {str(error).strip().splitlines()[0]}"
