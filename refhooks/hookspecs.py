"""The contract between the core and every plugin, ours and a stranger's.

Mark an implementation with :data:`refhooks.hookimpl` and give it any subset of the spec's
arguments, positional, without defaults. ``Registration`` hooks are module-level functions of a
plugin, called once when plugins load. ``RunHooks`` are methods of the object that ``Method.bind``
returns, or of an object passed as ``edit(plugins=[...])``; they are called while an edit runs.

A plugin module may state the version of the contract that it needs, as ``REFHOOKS_HOOKSPEC =
"1.0"``; ``docs/compatibility.md`` says what a version promises.

``B`` batch, ``T`` target tokens, ``R`` reference tokens, ``C`` latent channels of a token. Tensors
have the dtype and device of the run. Nothing passed to a hook may be changed in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from refhooks._core.contract.entries import CommandEntry, EmbeddedModel, FamilyEntry
    from refhooks._core.contract.methods import Method, RunPlugin
    from refhooks._core.contract.protocols import MaskShape, Schedule, Switch
    from refhooks._core.contract.values import AttentionEdit, Branch, Context, Inputs, Layout

__all__ = ["HOOKSPEC_VERSION", "Registration", "RunHooks", "hookimpl", "hookspec"]

HOOKSPEC_VERSION: Final = (1, 4)
"""Version of this contract: the first number rises when something that plugins rely on goes or
changes, the second when something is added."""

hookspec = pluggy.HookspecMarker("refhooks")
hookimpl = pluggy.HookimplMarker("refhooks")


class Registration:
    """Hooks that say what a plugin brings."""

    @hookspec
    def refhooks_methods(self) -> Sequence[type[Method]]:
        """Register methods.

        Fires: once, when the plugin is loaded.
        Arguments: none.
        May change: nothing.
        Returns: Classes of method descriptions, each with a ``name`` that no other plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load, with
            a reason that names both. Those that ship with refhooks come first, the others by the
            names of their entry points.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_families(self) -> Sequence[FamilyEntry]:
        """Register adapters to model families.

        Fires: once, when the plugin is loaded; the adapter itself is imported when a pipeline of
            its family is opened.
        Arguments: none.
        May change: nothing.
        Returns: One :class:`refhooks.FamilyEntry` a family, each with a ``name`` and pipeline
            classes that no other plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_models(self) -> Sequence[EmbeddedModel]:
        """Register models that the plugin brings along.

        Fires: once, when the plugin is loaded; the model itself is loaded when it is asked for.
        Arguments: none.
        May change: nothing.
        Returns: One :class:`refhooks.EmbeddedModel` a model, each with a ``name`` that no other
            plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_schedules(self) -> Sequence[type[Schedule]]:
        """Register schedules, the strength over the steps of a stage.

        Fires: once, when the plugin is loaded; a schedule is asked when a timetable is compiled.
        Arguments: none.
        May change: nothing.
        Returns: Classes with ``strength(step)`` and a ``name`` that no other plugin uses.
        Combines: All are collected; a name that is taken, and a second class that a bare function
            is short for, make the later plugin fail to load. A short form that two schedules read
            is an error where it is used.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_switches(self) -> Sequence[type[Switch]]:
        """Register switches, which say when a stage ends.

        Fires: once, when the plugin is loaded; a switch is asked when a timetable is compiled.
        Arguments: none.
        May change: nothing.
        Returns: Classes with ``ended(step)`` and a ``name`` that no other plugin uses.
        Combines: All are collected; a name that is taken, and a second class that a bare number,
            or a bare function, is short for, make the later plugin fail to load.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_masks(self) -> Sequence[type[MaskShape]]:
        """Register mask shapes, which say what part of a picture a mask covers.

        Fires: once, when the plugin is loaded; a shape is asked before a run starts.
        Arguments: none.
        May change: nothing.
        Returns: Classes with ``cover(size)`` and a ``name`` that no other plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load. A
            short form that two shapes read is an error where it is used.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_plugins(self) -> Sequence[type[RunPlugin]]:
        """Register run plugins, which take part in a run without being a reference's method.

        Fires: once, when the plugin is loaded; a run plugin takes part where a call names it.
        Arguments: none.
        May change: nothing.
        Returns: Classes with ``bind_run(run)`` and a ``name`` that no other plugin uses.
        Combines: All are collected; a name that is taken, and a second class that stands for one
            argument of ``edit()``, make the later plugin fail to load.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_presets(self) -> Sequence[Path]:
        """Register presets, partial edits under a name.

        Fires: once, when the plugin is loaded; a preset's file is read when it is asked for.
        Arguments: none.
        May change: nothing.
        Returns: Paths of .toml or .json files, each a preset whose name is that of its file without
            the ending, and which no other plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load. A
            preset in the user's own folder replaces one of the same name.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_commands(self) -> Sequence[CommandEntry]:
        """Register commands of the command line.

        Fires: once, when the plugin is loaded; a command is imported when it is called.
        Arguments: none.
        May change: nothing.
        Returns: One :class:`refhooks.CommandEntry` a command, each with a ``name`` that neither
            refhooks itself nor another plugin uses.
        Combines: All are collected; a name that is taken makes the later plugin fail to load.
        Added: 0.1.
        """
        raise NotImplementedError


class RunHooks:
    """Hooks of the denoising loop, in the order in which a step calls them.

    Several implementations of one hook form a chain: each receives what the one before returned.
    ``tryfirst`` ones come first, then those of the references in the order of the call, then those
    of ``edit(plugins=[...])``, then ``trylast`` ones. A method's implementations are skipped at
    steps outside its stage and at steps where its strength is 0.
    """

    @hookspec
    def refhooks_step(self, ctx: Context, latents: Tensor) -> Tensor | None:
        """Change the latents before a step.

        Fires: once a step, before anything else of the step. Not called after the last step.
        Arguments: ``ctx``: the step. ``latents``: ``x_t`` at noise level ``ctx.step.sigma``,
            ``[B,T,C]``.
        May change: the latents; the change persists into the following steps.
        Returns: New latents of the same shape, dtype and device, or ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_branches(
        self, ctx: Context, branches: Sequence[Branch]
    ) -> Sequence[Branch] | None:
        """Add forward passes to a step.

        Fires: once a step, after ``refhooks_step``.
        Arguments: ``ctx``: the step. ``branches``: the passes so far, at first those of the family
            (``cond``, and ``uncond`` where the run has guidance).
        May change: the list; those of the family must stay, and names must be unique.
        Returns: The new list, or ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_conditioning(self, ctx: Context, branch: Branch, inputs: Inputs) -> Inputs | None:
        """Change what the transformer is given.

        Fires: once a step and branch, before the forward pass.
        Arguments: ``ctx``: the step. ``branch``: the pass. ``inputs``: target ``[B,T,C]``, one slot
            a reference (empty at first), the encoded prompt, what joins after the input
            projection, and what changes linear layers in this pass.
        May change: ``target`` (only what this pass sees: the latents of the loop stay), ``slots``,
            ``text``, ``added``, ``adapters``, ``keep``, ``center`` and ``text_start``. The number
            of slots stays.
        Returns: New inputs (``inputs.fill(slot, tokens)``, ``attrs.evolve(inputs, ...)``), or
            ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_attention(
        self, ctx: Context, branch: Branch, layout: Layout
    ) -> Sequence[AttentionEdit] | None:
        """Change how the transformer attends to a group of keys.

        Fires: once a step and branch, after ``refhooks_conditioning`` and outside the model: only
            tensors reach the compiled blocks.
        Arguments: ``ctx``: the step. ``branch``: the pass. ``layout``: where text, target and the
            filled slots stand in the sequence of ``L`` tokens.
        May change: nothing; the edits are what is returned.
        Returns: Edits of groups that are there, ``[]`` or ``None``: none.
        Combines: All are collected; those of one group multiply their weights, key scales and value
            scales. Two that ``load`` for one group are an error.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_velocity(
        self,
        ctx: Context,
        latents: Tensor,
        predictions: Mapping[str, Tensor],
        velocity: Tensor,
    ) -> Tensor | None:
        """Change the velocity that the scheduler integrates.

        Fires: once a step, after the last branch and the family's guidance.
        Arguments: ``ctx``: the step. ``latents``: ``x_t``, as after ``refhooks_step``, ``[B,T,C]``.
            ``predictions``: branch name to predicted velocity ``v = noise − x0``, ``[B,T,C]``.
            ``velocity``: the guided one, ``[B,T,C]``.
        May change: the velocity.
        Returns: A new velocity of the same shape, dtype and device, or ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_strengths(
        self, ctx: Context, latents: Tensor, velocity: Tensor, strengths: Sequence[float]
    ) -> Sequence[float] | None:
        """Set the strengths of the next step by what was measured in this one.

        Fires: once a step, after ``refhooks_velocity``. Not called after the last step.
        Arguments: ``ctx``: the step that was made. ``latents``: ``x_t``, as after
            ``refhooks_step``, ``[B,T,C]``. ``velocity``: as after ``refhooks_velocity``,
            ``[B,T,C]``. ``strengths``: of each reference at the next step, 0–2, as they are planned
            or as an implementation before set them.
        May change: the strength of each reference that has one above 0 in the plan, to a number
            above 0 and at most 2; a method's own object, that of its reference alone. Whether a
            reference takes part in a step stays as planned.
        Returns: One number a reference, or ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError

    @hookspec
    def refhooks_image(self, ctx: Context, images: Tensor) -> Tensor | None:
        """Change the finished pictures.

        Fires: once a run, after the last step, when the latents are decoded.
        Arguments: ``ctx``: the last step. ``images``: ``[B,3 or 4,height,width]``, 0–1.
        May change: the pictures.
        Returns: New pictures of the same shape, dtype and device, or ``None``: unchanged.
        Combines: A chain.
        Added: 0.1.
        """
        raise NotImplementedError
