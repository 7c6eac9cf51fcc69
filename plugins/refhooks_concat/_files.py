"""What training writes: the projection, and beside it what is needed to go on."""

from __future__ import annotations

import contextlib
import json
import secrets
import stat
from typing import TYPE_CHECKING, Any

import attrs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from refhooks import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from refhooks_concat._learn import Learner

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@attrs.frozen
class Origin:
    """What a projection is for.

    Attributes:
        family: Name of the model family.
        base: Name of the checkpoint.
    """

    family: str
    base: str


def check_writable(path: Path) -> None:
    """Refuse a place where no projection can be written, before hours of training.

    Raises:
        InputError: Another ending, no such folder, or one that takes no file.
    """
    if path.suffix != ".safetensors" or not path.absolute().parent.is_dir():
        raise InputError(f"{path} must be a .safetensors file in a folder that is there")
    fresh = _fresh(path)
    try:
        fresh.write_bytes(b"")
        fresh.unlink()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def write_projection(path: Path, learner: Learner, origin: Origin, steps: int) -> None:
    """Write the projection as it is after so many steps."""
    shape = list(learner.weight.shape)
    said = {
        "family": origin.family,
        "base": origin.base,
        "projection": json.dumps({"shape": shape, "channels": "packed latents"}),
        "note": f"step {steps}",
    }
    _write(path, {name: parameter.detach() for name, parameter in learner.parameters.items()}, said)


def resume_place(path: Path) -> Path:
    """Return where what is needed to go on lies."""
    return path.with_suffix(".resume.safetensors")


def write_resume(path: Path, learner: Learner, kind: str, steps: int) -> None:
    """Write what is needed to go on after so many steps.

    Args:
        path: Of the projection.
        learner: In training.
        kind: What must be the same to go on.
        steps: That were taken.
    """
    named = learner.parameters
    tensors = {name: parameter.detach() for name, parameter in named.items()}
    for name, parameter in named.items():
        state = learner.optimizer.state.get(parameter, {})  # none where nothing depends on a layer
        tensors |= {f"{moment} {name}": state[moment] for moment in _MOMENTS if state}
    _write(resume_place(path), tensors, {"kind": kind, "steps": str(steps)})


def resume(path: Path, learner: Learner, kind: str) -> int:
    """Go on where a run stopped; returns how many steps it took, 0 if there was none.

    Raises:
        InputError: What lies there is of another training run, or damaged.
    """
    place = resume_place(path)
    if not place.is_file():
        return 0
    try:
        with safe_open(place, framework="pt") as file:
            said = file.metadata() or {}
            if said.get("kind") != kind:
                raise InputError(
                    f"{place} is of a training run with other pairs or options ({said.get('kind')},"
                    f" not {kind}); delete it, or write to another file"
                )
            _restore(learner, {key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
            return int(said["steps"])
    except (OSError, SafetensorError, LookupError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{place} cannot be read: {error}; delete it to begin anew") from error


@torch.no_grad()
def _restore(learner: Learner, tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in learner.parameters.items():
        parameter.copy_(tensors[name])
        if f"step {name}" not in tensors:
            continue
        state: dict[str, Any] = {moment: tensors[f"{moment} {name}"] for moment in _MOMENTS}
        for moment in _MOMENTS[1:]:
            state[moment] = state[moment].to(parameter)
        learner.optimizer.state[parameter] = state


def _target(path: Path) -> Path:
    """What a link leads to is written, and the link stays."""
    return path.resolve() if path.is_symlink() else path


def _fresh(path: Path) -> Path:
    """A name that is nobody's, for what becomes the file once it is whole."""
    return _target(path).with_name(f".{secrets.token_hex(8)}.part")


def _write(path: Path, tensors: Mapping[str, Tensor], said: Mapping[str, str]) -> None:
    """Beside, then renamed: a kill never leaves half of a file."""
    fresh = _fresh(path)
    plain = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(plain, fresh, dict(said))
        if path.exists():
            fresh.chmod(stat.S_IMODE(path.stat().st_mode))
        fresh.replace(_target(path))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
