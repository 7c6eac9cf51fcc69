"""The front door: a loaded model that edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Never

from refhooks._apps.chains.chain import as_chain
from refhooks._apps.editing.habits import refuse_unknown
from refhooks._apps.editing.steering import read_steering, with_file
from refhooks._base.handled import Handled
from refhooks._base.once import keeping
from refhooks._base.size import Size
from refhooks._base.turns import exclusive
from refhooks._core.models.loaded import LoadedModel
from refhooks._core.planning.request import make_request

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor

    from refhooks._apps.chains.chain import Chain, ChainResult, Edit
    from refhooks._apps.editing.result import EditResult
    from refhooks._apps.files.presets import Preset
    from refhooks._apps.grids.result import GridResult
    from refhooks._apps.recipes.recipe import Recipe
    from refhooks._attending.named_caches import StepCache
    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.methods import Method
    from refhooks._core.contract.protocols import MaskForm, MaskShape, Schedule, StageStep
    from refhooks._core.masks.mask import Mask
    from refhooks._core.planning.request import Callback
    from refhooks._core.planning.strategy import Reference, Stage, Strategy

    Strength = float | Sequence[float] | Schedule | Callable[[StageStep], float] | str

__all__ = ["Editor"]


class Editor(Handled, LoadedModel):
    """A :class:`LoadedModel` that edits pictures; :meth:`LoadedModel.from_pretrained` makes one.

    Args:
        pipe: A diffusers pipeline you already have (with LoRA, compiled, offloaded, quantised). It
            is used as it is and left as it is. Or a ``ModularPipeline``, whose components are: its
            steps and guidance hold unless the call says others.
        checkpoint: What the checkpoint prescribes where the stock pipeline's defaults do not fit.
        plugins: Modules, or objects, with registration hooks, besides the plugins that are
            installed: what they register has its name in strategies of this editor's edits.
        encodings_mib: How much is kept of what prompts and pictures were encoded to, in MiB; 0:
            they are encoded anew in each edit, which gives the same to the bit.

    Attributes:
        pipe: The pipeline; for a modular one, that which its components make.
        checkpoint: What the checkpoint prescribes.
        family: The adapter to its model family.
        registry: The plugins that methods are named from.

    Raises:
        ModelError: No live plugin has an adapter for the pipeline's class, or a modular one lacks
            components or runs blocks of its own.
        PluginError: One of ``plugins`` is none, or registers a name that is taken.
    """

    def edit(
        self,
        image: str | Path | Image | Reference | None,
        prompt: str | Sequence[str],
        *,
        strategy: Strategy | Stage | Method | Preset | str | Path | None = None,
        method: str | Method | None = None,
        strength: Strength | None = None,
        preset: str | Path | Preset | None = None,
        references: Sequence[Reference | str | Path | Image] = (),
        negative_prompt: str | Sequence[str] = " ",
        cfg: float | str | Sequence[float] | None = None,
        steps: int | None = None,
        seed: int | Sequence[int] | None = None,
        height: int | None = None,
        width: int | None = None,
        resolution: int | Literal["native"] | None = None,
        vision_resolution: int | None = None,
        denoise: float | None = None,
        edit_mask: Mask | MaskShape | MaskForm | None = None,
        compute: Inside | Literal["all", "inside"] = "all",
        cache: str | StepCache | None = None,
        align: bool = False,
        plugins: Sequence[object] = (),
        n: int = 1,
        callback: Callback | None = None,
        check: Literal["final", "eager"] = "final",
        record_attention: bool = False,
        wait: bool | float = False,
        **unknown: Never,
    ) -> EditResult:
        """Edit a picture; ``editor(...)`` is the same.

        Args:
            image: The source: it gives the output's shape and is reference 1; a ``Reference`` has
                its strategy with it. ``None`` makes a picture from the prompt alone, at ``height``
                and ``width``.
            prompt: What to do; several make a batch.
            strategy: How the source steers: a strategy, a stage, a method or its name, a preset, or
                the path of a strategy file with its run plugins. ``None``: the family's native
                method at 1, which is bit-identical to the stock pipeline.
            method: In place of ``strategy``: a registered method, or an instance.
            strength: Likewise: of ``method``, or of the family's native one.
            preset: Likewise: a preset, its name or its file; ``method`` and ``strength`` override
                what it says.
            references: More pictures, each with its own strategy.
            negative_prompt: What guidance moves away from; one, or one a prompt.
            cfg: Guidance scale; 1 and below is off. Over the steps: one a step, ``"1:4"`` from the
                first to the last, or ``"0.5@4"``: off until progress .5, 4 from there on. Where it
                is off, the negative pass is not run. ``None``: the checkpoint's own.
            steps: 1–1000. ``None``: the checkpoint's own.
            seed: 0 and above; several make a batch. ``None`` draws one and keeps it in the result.
            height: Pixels, a multiple of what the model works in (16 for Qwen-Image-Edit).
            width: Likewise.
            resolution: Pixel area of the output, in the shape of the source; or ``native``: the
                source's own height and width, exactly, and nothing is resized. The model works on
                it with its last row and column repeated up to its multiple, and what it makes of
                those is cut off; masks, ``denoise`` and references of the source's size follow.
            vision_resolution: Pixel area at which the text encoder sees pictures; ``None``: the
                checkpoint's own.
            denoise: Above 0, up to 1; ``None``: that of the preset, or 1. How much of the way from
                noise to picture is run. Below 1 the run starts from the source, noised to the first
                of the last ``steps`` noise levels of a schedule of ``round(steps / denoise)``;
                there are still ``steps`` steps.
            edit_mask: Where the picture may change at all, as a mask, or as what
                :func:`refhooks.mask` takes; outside of it and its feather band the source's pixels,
                resized to the output, are put back exactly.
            compute: ``inside``: only the target's tokens that the edit mask lets change are
                computed, and a border of one token around them, which makes a local edit several
                times as fast; an approximation. :class:`refhooks.Inside` says how much is left out.
                ``all``: every token at every step.
            cache: A step cache of diffusers for this edit alone: ``fbcache`` or ``taylorseer``,
                with options as ``fbcache:threshold=0.2``; an approximation.
            align: Move and scale each picture back onto the source, if that can be measured
                (:meth:`EditResult.shift`); at its edges the outermost pixels are repeated. Needs
                the extra ``measure``.
            plugins: Run plugins (:func:`refhooks.plugin`), or objects whose run hooks take part.
            n: Pictures from consecutive seeds.
            callback: Called at each step as ``callback(step, latents, x0)`` with ``x_t`` and the
                predicted clean latents, both ``[B,T,C]``. What it raises ends the run, as Ctrl-C
                does, and leaves the model as it was. ``pipe._interrupt = True``, from here or from
                another thread, ends it after the step: the result holds the unfinished pictures.
            check: ``final`` looks for NaN once; ``eager`` after every hook, and names the plugin.
            record_attention: Keep how much of the attention each reference gets, for each step and
                block, in the result; the picture stays bit-identical, but takes longer.
            wait: Where the model runs another edit: wait for it, in the order in which edits came;
                a number is the most seconds to wait. ``False``: raise at once.
            **unknown: Refused; the message says what it is called here.

        Raises:
            InputError: An argument cannot be used, or is unknown; found before the first step.
            UnknownNameError: A method that no live plugin registers.
            BusyError: The model already runs another edit, or did so for all of ``wait``.
            HookReturnError: What a hook returned breaks its contract.
            NotFiniteError: The result holds NaN or infinity.
            OutOfMemoryError: The device is full.
        """
        from refhooks._apps.editing.edit import run_edit  # noqa: PLC0415  imports torch, which takes a second

        refuse_unknown(self.edit, unknown)
        steering = read_steering(
            self,
            image,
            strategy=strategy,
            method=method,
            strength=strength,
            preset=preset,
            denoise=denoise,
        )
        request = make_request(
            image,
            prompt,
            strategy=steering.strategy,
            references=references,
            negative_prompt=negative_prompt,
            cfg=cfg,
            steps=steps,
            seed=seed,
            height=height,
            width=width,
            resolution=resolution,
            vision_resolution=vision_resolution,
            denoise=steering.denoise,
            edit_mask=edit_mask,
            compute=compute,
            cache=cache,
            align=align,
            plugins=with_file(plugins, steering),
            n=n,
            callback=callback,
            check=check,
            record_attention=record_attention,
        )
        return run_edit(self, request, wait=wait)

    __call__ = edit

    def chain(
        self,
        image: str | Path | Image,
        edits: Chain | Sequence[Edit],
        *,
        strength: float | Sequence[float] | Schedule | str | None = None,
        denoise: float | Sequence[float] | Schedule | str | None = None,
        cfg: float | str | Sequence[float] | None = None,
        steps: int | None = None,
        seed: int | None = None,
        height: int | None = None,
        width: int | None = None,
        resolution: int | Literal["native"] | None = None,
        vision_resolution: int | None = None,
        handover: Literal["latents", "pixels"] = "latents",
        align: bool = False,
        cache: str | StepCache | None = None,
        plugins: Sequence[object] = (),
        callback: Callback | None = None,
        on_result: Callable[[int, EditResult], object] | None = None,
        check: Literal["final", "eager"] = "final",
        wait: bool | float = False,
    ) -> ChainResult:
        """Edit a picture several times, each edit on what the one before made.

        Args:
            image: The picture that the chain starts from; it gives the shape of every output.
            edits: What to do, in order.
            strength: For the edits that say none: a number, one an edit, or a schedule over them.
            denoise: Likewise.
            cfg: For the edits that say none, as in :meth:`edit`.
            steps: Likewise.
            seed: Of the first edit; each one after it has the next number. ``None`` draws one.
            height: Of every output, pixels.
            width: Likewise.
            resolution: Pixel area of every output, in the shape of the picture, or ``native``, as
                in :meth:`edit`.
            vision_resolution: As in :meth:`edit`, for every edit.
            handover: ``latents``: an edit gets the latents of the one before as they are, and
                pixels only where the model looks at them (its text encoder); ``pixels``: the
                picture is decoded and encoded again, which loses a little each time. A picture that
                a plugin, or ``align``, changed after it was decoded is always handed on as pixels.
            align: As in :meth:`edit`: each edit back onto what the one before made.
            cache: As in :meth:`edit`: on for each edit, and emptied before the next.
            plugins: As in :meth:`edit`, for every edit.
            callback: As in :meth:`edit`, for every edit.
            on_result: Called as ``on_result(index, result)`` when an edit is done.
            check: As in :meth:`edit`.
            wait: As in :meth:`edit`: each of the edits waits for its own turn, so that others may
                run between two of them.

        Returns:
            The result of every edit.

        Raises:
            InputError: An argument or an edit cannot be used; found before the first edit runs.
            BusyError: The model already runs another edit.
            HookReturnError: What a hook returned breaks its contract.
            NotFiniteError: A result holds NaN or infinity.
            OutOfMemoryError: The device is full.
        """
        from refhooks._apps.chains.running import ChainRun  # noqa: PLC0415  imports torch, which takes a second

        options = {
            "cfg": cfg,
            "steps": steps,
            "height": height,
            "width": width,
            "resolution": resolution,
            "vision_resolution": vision_resolution,
            "align": align,
            "cache": cache,
            "plugins": plugins,
            "check": check,
        }
        chain = as_chain(edits, strength, denoise)
        with keeping():
            run = ChainRun(self, image, chain, seed, options, handover, wait)
            return run.run(callback, on_result)

    def grid(
        self,
        image: str | Path | Image | Reference,
        prompt: str,
        *,
        methods: Sequence[str] | None = None,
        strengths: Sequence[float | str] | None = None,
        rows: Mapping[str, Sequence[object]] | None = None,
        columns: Mapping[str, Sequence[object]] | None = None,
        seeds: Sequence[int] = (0,),
        cells: str | Path | None = None,
        tile: int | None = None,
        batch: int = 1,
        **edit: Any,
    ) -> GridResult:
        """Edit a picture several times with two fields varied; a picture a cell, in one sheet.

        Where nothing is varied, the methods that the model can do are, and the strengths 0, .5, 1
        and 1.5. Every cell is checked before the first picture is made.

        Args:
            image: The source.
            prompt: What to do.
            methods: Registered names, one a row.
            strengths: One a column: numbers, or short forms of schedules such as ``"0.4:1.0"``.
            rows: In place of ``methods``: a field and its values, as ``{"steps": [4, 8]}``. Fields
                are those of ``refhooks grid --rows``: method, strength, until, vision, denoise,
                steps, cfg, seed, an option as ``inject.formula``, and of a stage ``2.strength``.
            columns: In place of ``strengths``, likewise.
            seeds: Each makes a row of every row.
            cells: Folder in which each picture is kept, with its recipe, as soon as it is made;
                those that are there are not made again, and several processes may share it.
            tile: Pixels of a picture's side on the sheet; ``None``: as many as fit.
            batch: How many of a cell's seeds run in one pass. Above 1 a picture differs by rounding
                from what its seed gives alone (at most 1e-5 of the latents in float32).
            **edit: Any other argument of :meth:`edit`, the same for all cells.

        Raises:
            InputError: A value is none of its field's, two arguments vary one field, or as in
                :meth:`edit`.
            RefhooksError: As in :meth:`edit`.
        """
        from refhooks._apps.grids.making import Varied, make_grid  # noqa: PLC0415  imports torch, which takes a second

        varied = Varied(methods, strengths, rows, columns, seeds, cells, tile, batch)
        with keeping():
            return make_grid(self, self.edit, image, prompt, varied, edit)

    def replay(
        self,
        recipe: Recipe | str | Path,
        *,
        references: Sequence[str | Path] = (),
        callback: Callback | None = None,
        wait: bool | float = False,
        **settings: Any,
    ) -> EditResult:
        """Run an edit again from its recipe: a bit-identical picture, or a warning says why.

        Everything that the recipe names is found and checked before anything runs. A picture counts
        where its pixels are the recorded ones: inside of the recipe, among ``references``, or under
        its name beside the recipe's file or in the working folder.

        Args:
            recipe: As :func:`refhooks.load_recipe` returns it, or the path of a picture.
            references: Files of pictures and masks, in any order. One that the recipe does not know
                takes the place of the first picture that is found nowhere.
            callback: As in :meth:`edit`.
            wait: Likewise.
            **settings: What to do otherwise: ``strength`` and ``method`` (of reference 1),
                ``denoise``, ``steps``, ``seed``, ``cfg``, ``height``, ``width``, ``prompt``,
                ``negative_prompt``. A picture of a batch then runs alone.

        Raises:
            InputError: The recipe is none or cannot be replayed, a picture is missing, or a setting
                cannot be used.
            UnknownNameError: It names what no live plugin registers.
            RefhooksError: As in :meth:`edit`.
        """
        from refhooks._apps.replay.replay import replay  # noqa: PLC0415  imports torch, a second

        return replay(self, recipe, references, callback, wait, settings)

    def decode(self, latents: Tensor, *, height: int, width: int) -> tuple[Image, ...]:
        """Return the pictures that clean latents hold, for a callback's previews.

        Args:
            latents: ``x0`` of a callback, or ``latents`` of a result, ``[B,T,C]``.
            height: Of the output, pixels; what the model works on beyond it is cut off.
            width: Likewise.

        Raises:
            InputError: They are not latents of a picture of this size, or the VAE's tiles would
                lose a part of it.
            NotFiniteError: They, or the pictures, hold NaN or infinity.
        """
        from refhooks._core.running.run import decode  # noqa: PLC0415  imports torch, which takes a second

        return decode(self, latents, Size(height, width))

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        return exclusive(self.family.transformer)
