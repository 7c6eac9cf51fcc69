"""What a method is told when it is bound to a reference of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["BoundReference", "Method", "RunInfo"]


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
    """

    family: str
    blocks: int
    sigmas: tuple[float, ...]
    noise: Tensor
    grid: tuple[int, int]
    methods: tuple[tuple[Method, ...], ...]


@attrs.define(eq=False)
class BoundReference:
    """One reference of a run, as the method that steers with it sees it.

    The picture is encoded when it is first asked for, once a run.

    Attributes:
        index: 0-based position in the call; also the reference's slot.
        stage: 0-based stage of the strategy that the method is bound to.
        grid: Rows and columns of the reference's own tokens, ``rows·columns = R``; ``None`` if none
            of its methods gives the model tokens.
        strengths: Strength at each of the ``N`` steps; 0 where the stage is not in force.
    """

    index: int
    stage: int
    grid: tuple[int, int] | None
    strengths: tuple[float, ...]
    _encode: Callable[[], Tensor]
    _encode_fitted: Callable[[str], Tensor]

    @property
    def latents(self) -> Tensor:
        """The clean reference latents ``r`` on the picture's own grid, ``[1,R,C]``."""
        return self._encode()

    def fitted(self, fit: str = "cover") -> Tensor:
        """Return ``r`` on the target's grid, ``[1,T,C]``.

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
    """

    name: ClassVar[str]

    def bind(self, reference: BoundReference, run: RunInfo) -> Any:
        """Return a new object whose ``@hookimpl`` methods are called in this run.

        They are called only at the steps of the method's stage where the strength is above 0;
        strength 0 is therefore exactly as if the reference were not there.
        """
        ...
