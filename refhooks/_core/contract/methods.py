"""What a method is told when it is bound to a reference of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import attrs

from refhooks.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

    from refhooks._core.contract.drift import Drift
    from refhooks._core.contract.family import Sight
    from refhooks._core.contract.inside import Inside
    from refhooks._core.contract.source import Source
    from refhooks._core.contract.values import Branch, Context

__all__ = ["BoundReference", "Method", "ModelInfo", "RunInfo", "RunPlugin"]


@attrs.frozen(eq=False)
class ModelInfo:
    """What a method may know of a model, before anything is encoded.

    Attributes:
        family: Name of the model family.
        base: What files made for this checkpoint name as their base, such as its repository;
            ``None`` where it is not known.
        files: Files that the checkpoint brings along, by the name of the method they are for.
        input_projection: Name of the linear layer by which latent tokens enter the transformer,
            ``C`` to its width, before ``Inputs.added`` joins; ``None``: nothing can join there.
        rope_axes: How many channels of a head each axis of the rotary position embedding turns, in
            their order: frame, row, column; the sum is ``D``. Neighbours ``2i`` and ``2i + 1`` of
            an axis turn together, the first pair by the highest frequency and each next one by a
            lower. ``None``: positions are not embedded so, or it is not known.
        reuse_exact: Whether references' keys and values are the same at every step, so that reading
            those of an earlier step changes nothing; else that is an approximation.
        sight: Who sees whom: ``joint``, or ``prefix``, where text and references see neither the
            target nor the noise level, and edits of attention without ``prefix`` reach the target's
            queries alone.
        token_bytes: What the keys and values of one token take over all blocks, in bytes; ``None``
            where it is not known before a run.
        variants: As ``Family.variants``.
    """

    family: str
    base: str | None
    files: Mapping[str, Path]
    input_projection: str | None
    _transformer: torch.nn.Module = attrs.field(repr=False)
    rope_axes: tuple[int, ...] | None = None
    reuse_exact: bool = False
    token_bytes: int | None = None
    sight: Sight = "joint"
    variants: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)

    @property
    def compiled(self) -> bool:
        """Whether parts of the transformer are compiled.

        A method that edits the attention at some steps and not at others does so at all of them
        then, with a weight of 1 where it would do nothing: each way needs a graph of its own.
        """
        return any(_is_compiled(module) for module in self._transformer.modules())

    def layer(self, name: str) -> Any:
        """Return a linear layer of the transformer, with ``in_features`` and ``out_features``.

        Args:
            name: Its dotted name inside the transformer.

        Raises:
            InputError: There is no such linear layer, or it is part of what is compiled: a change
                to it would not be seen.
        """
        module: Any = self._transformer
        for part in name.split("."):
            _check_not_compiled(module, name)
            module = dict(module.named_children()).get(part)
            if module is None:
                raise InputError(f"the transformer has no layer {name!r}")
        _check_not_compiled(module, name)
        if not hasattr(module, "in_features") or not hasattr(module, "out_features"):
            kind = type(module).__name__
            raise InputError(f"the transformer's {name!r} is no linear layer but a {kind}")
        return module


def _is_compiled(module: Any) -> bool:
    return hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None


def _check_not_compiled(module: Any, name: str) -> None:
    """``torch.compile`` neither sees hooks that come after it, nor looks whether there are any."""
    if _is_compiled(module):
        raise InputError(
            f"the transformer's {name!r} is compiled, so nothing can be added to it any more: merge"
            " or load a LoRA before compiling, and compile no more than the blocks"
            " (compile_repeated_blocks)"
        )


@attrs.frozen(eq=False)
class RunInfo:
    """What a run is, before its first step.

    Attributes:
        family: Name of the model family.
        blocks: Number of transformer blocks.
        sigmas: Noise level of each of the ``N`` steps, 1 → 0.
        noise: The run's own starting noise ``ε``, ``[B,T,C]``.
        grid: Rows and columns of the target's tokens, ``rows·columns = T``.
        methods: The methods of each reference's stages, in the order of the call.
        model: The model that is run.
        source: The picture being edited; ``None`` where a picture is made from the prompt alone.
        cover: ``cover(ctx, reference)``: where a reference (0-based) may act at a step, by its
            masks, ``[1,T,1]``, 0–1; ``None``: everywhere.
        branches: The family's own forward passes.
        heads: Of the transformer's attention, ``H``.
        head_size: ``D``.
        report: ``report(drift)``: adds to what the result says was measured.
        grids: Rows and columns of each reference's tokens; ``None`` for one that gives none.
        decode: ``decode(latents)``: the pictures ``[B,3 or 4,height,width]``, 0–1, of clean latents
            ``[B,T,C]``, such as the predicted ``x0 = x_t − sigma·v``. One pass of the VAE's decoder
            and the memory of it, as at the end of a run; it changes nothing of the run.
        strengths: Of the run plugin that is bound, 0–2 at each step, where it is ``scheduled``.
        leave_out: ``leave_out(cover, inside)``: what ``compute="inside"`` binds, for a cover of the
            target's tokens ``[rows,columns]``, 0–1: an object whose hooks of conditioning, and with
            ``reuse`` of attention, a plugin calls in its own, with the same arguments.
    """

    family: str
    blocks: int
    sigmas: tuple[float, ...]
    noise: Tensor
    grid: tuple[int, int]
    methods: tuple[tuple[Method, ...], ...]
    model: ModelInfo
    source: Source | None
    cover: Callable[[Context, int], Tensor | None]
    branches: tuple[Branch, ...]
    heads: int
    head_size: int
    report: Callable[[Drift], None]
    grids: tuple[tuple[int, int] | None, ...] = ()
    decode: Callable[[Tensor], Tensor] = attrs.field(default=None, repr=False)
    strengths: tuple[float, ...] = ()
    leave_out: Callable[[Tensor, Inside], Any] = attrs.field(default=None, repr=False)


def check_method(method: Method, model: ModelInfo | None) -> None:
    """Let a method say that it cannot run on a model, or without one; see :class:`Method`."""
    check = getattr(method, "check", None)
    if check is not None:
        check(model)


@attrs.define(eq=False)
class BoundReference:
    """One reference of a run, as the method that steers with it sees it.

    The picture is encoded when it is first asked for, once a run.

    Attributes:
        index: 0-based position in the call; also the reference's slot.
        stage: 0-based stage of the strategy that the method is bound to.
        grid: Rows and columns of the reference's own tokens, ``rows·columns = R``; ``None`` if none
            of its methods gives the model tokens.
        strengths: Strength at each of the ``N`` steps, as planned; 0 where the stage is not in
            force.
        steered: Whether hooks may set those above 0 to others while the run goes: then any above 0,
            up to 2, may come, and ``ctx.rows`` has what holds.
        tokens: The most tokens that it gives the model at a step of the stage, after masks;
            ``None`` where that is not known.
    """

    index: int
    stage: int
    grid: tuple[int, int] | None
    strengths: tuple[float, ...]
    tokens: int | None
    _encode: Callable[[], Tensor]
    _encode_fitted: Callable[[str], Tensor]
    steered: bool = False

    @property
    def latents(self) -> Tensor:
        """The clean reference latents ``r`` on the picture's own grid, ``[1 or B,R,C]``."""
        return self._encode()

    def fitted(self, fit: str = "cover") -> Tensor:
        """Return ``r`` on the target's grid, ``[1 or B,T,C]``.

        The picture is fitted in pixels before it is encoded.

        Args:
            fit: ``cover`` (fill, crop what hangs over), ``contain`` (whole picture, edges
                repeated) or ``stretch``.

        Raises:
            InputError: ``fit`` is none of these.
        """
        return self._encode_fitted(fit)


@runtime_checkable
class Method(Protocol):
    """A method: a frozen description that binds to a reference of a run.

    Descriptions are values (``@attrs.frozen``): options are their fields, validated when they are
    made. Only what :meth:`bind` returns is registered for a run, so two equal descriptions or two
    runs never meet.

    A method that never fills its reference's slot may say so with ``gives_tokens = False`` (an
    attribute or property): then not even the size of the picture matters to the model.

    A method whose edits of attention say ``prefix=True`` says so itself, with ``edits_prefix =
    True`` (an attribute or property): the region masks of its reference do likewise then.

    A method whose options name files says so with ``files``, the names of those options: recipes
    record such a file by its hash and name, and no method is given a path that a recipe holds.

    A method that needs something of the model or of a file may have ``check(model)``, which raises
    :class:`refhooks.InputError` where it cannot run. It is called with a :class:`ModelInfo` before
    anything is encoded, also for a stage at strength 0, and with ``None`` when a plan is made
    without a model: then it may warn of what it will need.

    A method that reads keys and values of earlier steps, gives the model only some of the tokens,
    adds forward passes, or has something to say to a plan, may have ``outlook(planned)``, which
    takes a :class:`refhooks.PlannedStage` and returns a :class:`refhooks.Outlook`, or raises
    :class:`refhooks.InputError`.

    A method whose strength does no more from some value on says so with ``dial_end``, that value:
    a plan that goes beyond says so below its table, once for each reference.

    A method of which it was measured what it is worth names the file that says so as ``marks``;
    ``docs/marks.md`` has its form.

    A method that leaves something out for speed may have ``exactly()``, which returns the method
    that does not, so that the two can be compared.

    A method that works only where every token of the target is computed says so with
    ``needs_whole_target = True`` (an attribute or property): ``edit(compute="inside")`` is refused
    beside it. Most need not care: hooks see all ``T`` tokens either way.

    What :meth:`bind` returns may have ``close()``, called at the end of the run, also after an
    exception: there it gives back memory that an exception's traceback would keep.
    """

    name: ClassVar[str]

    def bind(self, reference: BoundReference, run: RunInfo) -> Any:
        """Return a new object whose ``@hookimpl`` methods are called in this run.

        They are called only at the steps of the method's stage where the strength is above 0;
        strength 0 is therefore exactly as if the reference were not there.
        """
        ...


def edits_prefix(method: Method) -> bool:
    """Return whether a method changes what text and references see that are computed once."""
    return bool(getattr(method, "edits_prefix", False))


@runtime_checkable
class RunPlugin(Protocol):
    """What takes part in a run without being a reference's method: a frozen description.

    One registered class may have ``argument``, the name of the argument of ``edit()`` whose value
    is its only option: ``edit(edit_mask=...)`` is made through it. One may have ``check(frame)``,
    which raises :class:`refhooks.InputError` if it cannot take part; it is asked before anything is
    encoded, with the size of the picture being edited, or ``None`` where there is none; and
    ``check_model(model)`` likewise, with the :class:`ModelInfo` of the run. One may say
    ``needs_whole_target = True``, as a :class:`Method` may, and ``edits_attention``, true or false:
    a model whose attention cannot be edited refuses by it, and else by what ``bind_run`` names. One
    that sets ``Inputs.keep`` says how as ``inside``, an :class:`refhooks.Inside` or ``None``: what
    refuses ``compute="inside"`` then refuses it, by its own name; and ``computes(sigmas)`` may
    return the share of the target's tokens, 0-1, that it expects to be computed at each step, an
    estimate for what a plan costs.

    One may say ``scheduled = True``: its fields ``strength`` (1.0 where it has none; whatever a
    stage takes) and ``start`` and ``end`` (progress of the run, 0 and 1 where it has none) are
    compiled for the steps of the run, as a stage's are, and are in the timetable.
    ``RunInfo.strengths`` holds them; its hooks are not called at steps where it is 0.
    """

    name: ClassVar[str]

    def bind_run(self, run: RunInfo) -> Any:
        """Return a new object whose ``@hookimpl`` methods are called at the steps of this run."""
        ...
