"""Edits in processes of their own: forked from this one, and spawned; says what came of each.

Run as a script.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import queue
import sys
import threading
import warnings

import torch

import refhooks as rh
from refhooks.testing import picture, tiny_editor

PATIENCE = 240.0  # seconds, after which a child is ended


def edited(editor, **options):
    """A hash of the latents of one edit."""
    call = {"steps": 2, "seed": 1, "cfg": 2.0, "strategy": rh.Stage("cross_attn", 0.6), **options}
    latents = editor.edit(picture(), "make it blue", **call).latents
    return hashlib.sha256(latents.numpy().tobytes()).hexdigest()


def child(answers, editor, options):
    """Edit, and tell what came of it, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = edited(editor or tiny_editor(), **options)
        except Exception as error:  # noqa: BLE001  it is told
            found = f"{type(error).__name__}: {error}"
    said = [str(it.message) for it in caught if issubclass(it.category, rh.RefhooksWarning)]
    answers.put({"found": found, "said": said, "threads": torch.get_num_threads()})


def started(kind, editor=None, **options):
    """What a child process answers; ``None``: nothing in all that time."""
    context = multiprocessing.get_context(kind)
    answers = context.Queue()
    process = context.Process(target=child, args=(answers, editor, options), daemon=True)
    process.start()
    try:
        return answers.get(timeout=PATIENCE)
    except queue.Empty:
        return None
    finally:
        process.kill()
        process.join()


def amid_an_edit(editor):
    """Fork while another thread is amid an edit, and from an edit's own callback."""
    stands, go_on, found = threading.Event(), threading.Event(), {}

    def stand(*_):
        stands.set()
        go_on.wait()

    thread = threading.Thread(target=edited, args=(editor,), kwargs={"callback": stand})
    thread.start()
    stands.wait()
    found["of another thread"] = started("fork", editor, wait=True)
    found["of another thread, in vain"] = started("fork", editor)
    go_on.set()
    thread.join()

    def callback(*_):
        found.setdefault("of the callback", started("fork", editor, wait=True))

    edited(editor, callback=callback)
    return found


def main():
    """Try all of them."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    editor = tiny_editor()
    wide = torch.randn(1500, 1500)
    (wide @ wide).add_(wide).sum()  # has torch start its threads
    found = {"alone": edited(editor)}
    if hasattr(os, "fork"):
        found["forked"] = started("fork", editor)
        found |= amid_an_edit(editor)
    found["spawned"] = started("spawn")
    found["afterwards"] = edited(editor)
    torch.set_num_threads(1)
    found["on one thread"] = edited(editor)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
