"""A part of the matrix of faults: every place, every exception and every step, on each model."""

from __future__ import annotations

import copy
import gc
import json
import threading

import _faults
import faults
import pytest

import refhooks as rh

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def counted():
    """What the count of living tensors has frozen is let go of; see tests/conftest.py."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def share(model, start):
    """Faults at every place, each at one of its steps and with one of the exceptions, in turn."""
    exceptions = list(_faults.EXCEPTIONS)
    return [
        faults.Cell(model, place, (n + start) % place.times, exceptions[(n + start) % 6])
        for n, place in enumerate(_faults.PLACES)
    ]


SHARES = {"edit": share("edit", 0), "plus": share("plus", 2), "21": share("21", 4)}


def test_the_share_has_everything():
    """Places, exceptions and steps; and the whole has each of them with each."""
    cells = [cell for share in SHARES.values() for cell in share]
    whole = faults.cells(faults.MODELS)

    assert {cell.place.spot for cell in cells} == {place.spot for place in _faults.PLACES}
    assert {cell.exception for cell in cells} == set(_faults.EXCEPTIONS)
    assert {cell.at for cell in cells} == {0, 1, 2}
    assert len({cell.key for cell in whole}) == len(whole) == 1188
    assert {cell.key for cell in cells} <= {cell.key for cell in whole}
    assert {f"{hook}, a method" for hook in _faults.HOOKS} <= {cell.place.spot for cell in cells}


@pytest.mark.parametrize("model", SHARES)
def test_a_fault_is_named_and_leaves_nothing(model):
    """The culprit, the state of model and process, and the next edit."""
    subject = faults.Subject(model)

    wrong = {cell.key: subject.attempt(cell) for cell in SHARES[model]}

    assert {key: found for key, found in wrong.items() if found} == {}


class Leaves:
    """A subject that a test spoils after its fault."""

    def __init__(self, spoil):
        self._subject = faults.Subject("edit")
        self._fail, self._spoil = self._subject._fail, spoil
        self._subject._fail = self._failing

    def _failing(self, cell):
        wrong = self._fail(cell)
        self._spoil(self._subject.pipe)
        return wrong

    def attempt(self):
        """What is found wrong."""
        return " ".join(self._subject.attempt(SHARES["edit"][0]))


KEPT = []


def waiting(_):
    """Begin a thread that goes on until its case has been judged."""
    KEPT.append(threading.Timer(600, print))
    KEPT[-1].start()


SPOILED = {
    "a hook": lambda pipe: pipe.vae.decoder.register_forward_hook(lambda *_: None),
    "a processor": lambda pipe: pipe.transformer.set_attn_processor(
        copy.copy(pipe.transformer.transformer_blocks[0].attn.processor)
    ),
    "a weight": lambda pipe: pipe.transformer.img_in.bias.data.add_(1),
    "a mode": lambda pipe: pipe.transformer.train(),
    "gradients": lambda pipe: pipe.transformer.img_in.bias.requires_grad_(False),
    "an attribute": lambda pipe: setattr(pipe, "_current_timestep", 1),
    "the scheduler": lambda pipe: pipe.scheduler.set_begin_index(1),
    "a tensor": lambda pipe: KEPT.append(pipe.transformer.img_in.bias.detach().clone()),
    "a thread": waiting,
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_left_behind_is_seen(name):
    """Each kind of it, or the matrix would be right whatever happens."""
    try:
        wrong = Leaves(SPOILED[name]).attempt()
    finally:
        for timer in KEPT:
            if isinstance(timer, threading.Timer):
                timer.cancel()

    assert "is not what it was" in wrong or "tensors more" in wrong or "another picture" in wrong


def test_what_is_wrong_with_an_exception_is_seen():
    """Another type, another exception, no name, a generator."""
    cell = next(cell for cell in SHARES["plus"] if cell.place.spot == "transformer")
    armed = _faults.Armed("transformer", cell.at, ValueError("on purpose"))

    found = faults.faults_of(RuntimeError("generator raised StopIteration"), armed, cell)

    assert len(found) == 4
    assert "came as RuntimeError" in found[0]
    full = _faults.EXCEPTIONS["device out of memory"]()
    assert cell.place.expected(full) is rh.OutOfMemoryError
    callback = next(cell for cell in SHARES["plus"] if cell.place.spot == "callback")
    error = ValueError("on purpose")
    error.add_note("raised by somebody")
    armed = _faults.Armed("callback", 0, error)
    assert "blamed" in faults.faults_of(error, armed, callback)[0]


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch, capsys):
    """What is written is not done again, but for what was wrong; another seed is refused."""
    tried = []
    monkeypatch.setattr(faults, "Subject", lambda _model: Subject())

    class Subject:
        def attempt(self, cell):
            tried.append(cell.key)
            return ["odd"] if len(tried) == 1 else []

    call = ["--models", "edit,21", "--only", "bind, a method", "--json", str(tmp_path / "a.json")]
    first = faults.main(call)
    again = faults.main(call)

    assert (first, again) == (1, 0)
    assert len(tried) == 13
    assert tried[0] == tried[-1]
    assert set(json.loads((tmp_path / "a.json").read_text())["faults"]) == set(tried)
    out = capsys.readouterr().out
    assert "5/6" in out
    assert f"WRONG {tried[0]}: odd" in out
    with pytest.raises(SystemExit, match="of a run with another seed"):
        faults.main([*call, "--seed", "1"])
