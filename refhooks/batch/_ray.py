"""Groups of jobs, handed to actors of Ray: processes with a model each, on one machine or many.

That each is made once does not rest on Ray, but on the claims and files of the folder: an actor
does what another ``refhooks batch`` in the same folder would do.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import pickle
import platform
import signal
import socket
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from refhooks._base.claims import Claims
from refhooks._base.numbers import number
from refhooks._base.shown import shown
from refhooks._base.unfinished import beside, sweep
from refhooks._editor import Editor
from refhooks.batch._crew import Crew
from refhooks.batch._folder import Folder
from refhooks.batch._making import Maker, open_model
from refhooks.batch._outputs import Outputs
from refhooks.errors import InputError, RefhooksError, RefhooksWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refhooks._core.plugins.registry import Registry
    from refhooks.batch._digest import ModelFacts
    from refhooks.batch._folder import Answer
    from refhooks.batch._groups import Group

__all__ = ["Ray", "actors", "as_ray", "check_model"]

_HERE: Final = "local"
_PATIENCE: Final = 10.0  # seconds for a cluster to answer


@attrs.frozen
class Ray:
    """Where actors run, and what each of them takes.

    Attributes:
        address: ``HOST:PORT`` of a cluster, or ``auto`` for the one of this machine or of
            ``RAY_ADDRESS``; ``None``: what runs in this process already, or else a Ray of its own
            on this machine, as long as the batch runs.
        num_gpus: Of an actor, 0–64, below 1 for a part of one; ``None``: 1 where the cluster has
            any.
        num_cpus: Of an actor, up to 4096; ``None``: 1 beside a GPU, otherwise all that the smallest
            machine has, so that a machine holds one model.
    """

    address: str | None = None
    num_gpus: float | None = None
    num_cpus: float | None = None


def as_ray(value: Any) -> Ray | None:
    """Return where actors run; ``None``: there are to be none.

    Raises:
        InputError: It cannot be used, or Ray is not installed.
    """
    if value is None or value is False:
        return None
    where = Ray() if value is True else Ray(value) if isinstance(value, str) else value
    if not isinstance(where, Ray) or where.address == "":
        raise InputError(f"ray must be True, an address or a batch.Ray, got {shown(value)}")
    if where.address is not None and not isinstance(where.address, str):
        raise InputError(f"ray's address must be a text, got {shown(where.address)}")
    for name, low, high in (("num_gpus", 0.0, 64.0), ("num_cpus", 0.01, 4096.0)):
        value = getattr(where, name)
        if value is not None and (number(value, name, low, high) > 1) and value % 1:
            raise InputError(f"{name} above 1 must be whole, got {shown(value)}")
    _library()
    return where


def _library() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            "actors need Ray, which is not installed; install it with: pip install 'refhooks[ray]'"
        ) from error


def check_model(model: Any) -> None:
    """Refuse an editor, which no other process can have.

    Raises:
        InputError: It is one.
    """
    if isinstance(model, Editor):
        raise InputError(
            "with ray, each actor loads a model of its own; model must be a name, a folder or a"
            " function that returns an editor, got an Editor"
        )


@contextlib.contextmanager
def actors(where: Ray, model: Any, registry: Registry, folder: Folder, jobs: int) -> Iterator[Crew]:
    """Yield actors, the first of which has its model; they end with the block.

    Args:
        where: They run.
        model: What each loads.
        registry: What names in jobs mean.
        folder: Of the outputs, shared by all machines.
        jobs: How many there are.

    Raises:
        InputError: There is no such cluster, or no room in it; the folder is not shared.
        ModelError: The model cannot be loaded.
    """
    mark = beside(folder.path.absolute() / "x")
    try:
        with _connected(where) as ray:
            options, room = _room(ray, where)
            told = (_packed(ray, model), Path.cwd(), mark)
            start, most = functools.partial(_begun, ray, options, told), min(room, jobs)
            crew = Crew(ray, start, most, min(options["num_gpus"] or 1.0, 1.0), registry, folder)
            try:
                crew.begin()
                yield crew
            finally:
                crew.end()
    finally:  # what killed actors of this machine left, too
        mark.unlink(missing_ok=True)
        sweep(folder.path, again=True)
        Claims(folder.path)


@contextlib.contextmanager
def _connected(where: Ray) -> Iterator[Any]:
    ray = _library()
    if ray.is_initialized():
        if where.address is not None:
            raise InputError(
                f"this process is connected to a Ray already; leave the address {where.address!r}"
                " out, or call ray.shutdown() before"
            )
        yield ray
        return
    address = where.address or _HERE
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    options: dict[str, Any] = {"address": address}
    if address == _HERE:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options["include_dashboard"] = False
    try:
        _check_heard(address)
        with _kept_signals(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what will change in Ray
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except Exception as error:
        raise InputError(
            f"no Ray answers at {address!r} ({_first_line(error)}); start one with: ray"
            " start --head, and give HOST:PORT or auto, or leave the address out; where it asks for"
            " a token, set RAY_AUTH_MODE=token"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_heard(address: str) -> None:
    """Refuse an address where nobody listens: Ray tries for two minutes, and ends this process.

    Raises:
        OSError: Nobody does.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()


@contextlib.contextmanager
def _kept_signals() -> Iterator[None]:
    """Keep what SIGTERM does, which Ray changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _room(ray: Any, where: Ray) -> tuple[dict[str, float], int]:
    """Return what an actor takes, and for how many of them the machines have room."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus, cpus = where.num_gpus, where.num_cpus
    if gpus is None:
        gpus = float(any(machine.get("GPU", 0) >= 1 for machine in machines))
    if cpus is None:
        having = [machine["CPU"] for machine in machines if machine.get("CPU", 0) >= 1]
        cpus = 1.0 if gpus or not having else min(having)
    room = sum(
        int(min(it.get("CPU", 0) / cpus, it.get("GPU", 0) / gpus if gpus else math.inf))
        for it in machines
    )
    if not room:
        raise InputError(
            f"no machine of Ray has room for an actor, which takes {gpus:g} GPUs and {cpus:g} CPUs;"
            " set num_gpus and num_cpus (--num-gpus, --num-cpus), or start more machines"
        )
    return {"num_gpus": gpus, "num_cpus": cpus}, room


def _packed(ray: Any, model: Any) -> bytes:
    """What is to be loaded, for another process.

    Raises:
        InputError: It is a function that holds what no other process can have.
    """
    try:
        packed: bytes = ray.cloudpickle.dumps(model)
    except Exception as error:
        raise InputError(f"actors cannot be given model {shown(model)}: {error}") from error
    return packed


def _begun(ray: Any, options: dict[str, float], told: tuple[bytes, Path, Path]) -> Any:
    told[-1].touch()  # each time: other machines sweep up what is a day old
    return ray.remote(Worker).options(**options, max_restarts=0).remote(*told)


class Worker:
    """An actor: a model, and what makes groups with it.

    Args:
        model: What it loads, packed.
        here: The folder in which relative paths begin.
        mark: A file in the folder of the outputs, by which it is known to be the same.
    """

    def __init__(self, model: bytes, here: Path, mark: Path) -> None:
        self._model, self._here, self._mark = model, here, mark
        self._maker: Maker | None = None

    def load(self) -> tuple[ModelFacts, list[str]]:
        """Load the model; return its facts, and what was warned of.

        Raises:
            InputError: This machine does not have the folders.
            ModelError: The model cannot be loaded.
        """
        for place, what in ((self._mark, "outputs"), (self._here, "the command")):
            if not place.exists():
                missing = place.parent if place is self._mark else place
                raise InputError(
                    f"{platform.node()} does not have the folder of {what}, {missing}; the"
                    " machines of a cluster must share it, at the same place"
                )
        os.chdir(self._here)
        with _noted() as warned:
            model = open_model(self._unpacked())
            self._maker = Maker(model, Folder.of(Outputs(self._mark.parent)))
        return self._maker.facts, warned

    def _unpacked(self) -> Any:
        try:
            return pickle.loads(self._model)  # noqa: S301  of the process that began this one
        except Exception as error:
            raise InputError(
                f"model cannot be used on {platform.node()}: {error}; what its function is from"
                " must be there too"
            ) from error

    def make(self, group: Group) -> tuple[Answer | None, list[str]]:
        """Make a group unless somebody else is at it; say what became of it, and of warnings."""
        maker = self._maker
        if maker is None:
            raise RefhooksError("the actor has no model")
        with _noted() as warned:
            settled = maker.settle(group)
        return maker.folder.answer(group) if settled else None, warned


@contextlib.contextmanager
def _noted() -> Iterator[list[str]]:
    """Yield a list that holds, afterwards, what refhooks warned of."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    told += dict.fromkeys(
        str(it.message) for it in caught if issubclass(it.category, RefhooksWarning)
    )
