"""Which file a module was filled from: its name and hash, for what is written about a run."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from refhooks._base.files import file_hash
from refhooks._base.forks import ForkLock, after_fork

if TYPE_CHECKING:
    import torch
    from torch import nn

    from refhooks._base.weight_files.entries import WeightFile

__all__ = ["Source", "floating_weight", "note_source", "source_of"]

_sources: weakref.WeakKeyDictionary[nn.Module, Source] = weakref.WeakKeyDictionary()


class Source:
    """A file that weights were read from.

    It is hashed once and by a thread, begun when it is first asked for: loading does not wait for
    it, and an edit that begins it at its start has it at its end.

    Args:
        file: As it was opened.

    Attributes:
        name: Without its folder.
        kept_bytes: Memory that the weights take, where they are kept as the file has them;
            ``None``: what their dtype takes.
    """

    def __init__(self, file: WeightFile) -> None:
        from refhooks._base.weight_files.filling import is_quantised  # noqa: PLC0415  imports torch

        self.name = file.path.name
        stored = sum(entry.size for entry in file.entries.values())
        self.kept_bytes = stored if is_quantised(file) else None
        self._path, self._stamp = file.path.absolute(), file.stamp
        self._digest = ""
        self._lock = ForkLock()
        self._thread: threading.Thread | None = None
        after_fork(self, Source._renew)

    def begin(self) -> threading.Thread:
        """Begin to hash the file, if that was not begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._hash, daemon=True)
                self._thread.start()
            return self._thread

    def sha256(self) -> str:
        """Return the hash of the file; empty: it is not there, or changed since it was read."""
        self.begin().join()
        return self._digest

    def _renew(self) -> None:
        """Mind a fork: the thread is not in this process, finished or not."""
        if not self._digest:
            self._thread = None

    def _hash(self) -> None:
        try:
            digest = file_hash(self._path)
            stat = self._path.stat()
        except OSError:
            return
        if (stat.st_size, stat.st_mtime_ns) == self._stamp:
            self._digest = digest


def note_source(module: nn.Module, file: WeightFile) -> None:
    """Remember which file a module was filled from."""
    _sources[module] = Source(file)


def source_of(module: Any) -> Source | None:
    """Return the file that a module was filled from, if it was; also of a compiled one."""
    return _sources.get(getattr(module, "_orig_mod", module))


def floating_weight(module: nn.Module) -> torch.Tensor:
    """Return the first weight of a module that is a number; those of a GGUF are bytes."""
    weights = list(module.parameters())
    return next((it for it in weights if it.is_floating_point()), weights[0])
