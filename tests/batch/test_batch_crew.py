"""Actors that make groups, on a stand-in of Ray in this process: who dies, who is left out."""

from __future__ import annotations

import pickle
import types

import attrs
import pytest
import tiny

import refhooks as rh
from refhooks import batch
from refhooks.batch import _crew, _ray


class DeadError(Exception):
    """What Ray raises for an actor that died."""


class TaskError(Exception):
    """What Ray raises for a call that raised."""

    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Stand:
    """Ray in one process: a call runs when it is waited for.

    Attributes:
        deaths: Called with the name of a method and what it is given; raises to let the actor die.
    """

    exceptions = types.SimpleNamespace(RayTaskError=TaskError, RayError=DeadError)
    cloudpickle = types.SimpleNamespace(dumps=lambda value: value)

    def __init__(self):
        self.deaths = lambda method, given: None
        self.begun = self.killed = 0
        self.machines = [{"CPU": 2.0}]
        self.options_given = None

    def is_initialized(self):
        return True

    def nodes(self):
        return [{"Alive": True, "Resources": it} for it in self.machines]

    def remote(self, worker):
        def begin(*given):
            self.begun += 1
            actor = worker(*given)
            return types.SimpleNamespace(
                load=self._method(actor, "load"), make=self._method(actor, "make")
            )

        def options(**given):
            self.options_given = given
            return types.SimpleNamespace(remote=begin)

        return types.SimpleNamespace(options=options)

    def _method(self, actor, name):
        def call(*given):
            def run():
                self.deaths(name, given)
                try:
                    return getattr(actor, name)(*given)
                except Exception as error:
                    raise TaskError(error) from error

            return run

        return types.SimpleNamespace(remote=call)

    def wait(self, calls, **_):
        return calls[-1:], calls[:-1]

    def get(self, call):
        return call()

    def kill(self, _actor):
        self.killed += 1


@pytest.fixture
def stand(monkeypatch):
    """The stand-in, in place of Ray."""
    stand = Stand()
    monkeypatch.setattr(_ray, "_library", lambda: stand)
    monkeypatch.setattr(pickle, "loads", lambda value: value)
    return stand


@pytest.fixture
def run(stand, editor, tmp_path):
    """Run eight jobs of four pictures, two in a pass, by actors that share one editor."""
    for number in range(4):
        tiny.picture(number, (32, 24)).save(tmp_path / f"{number}.png")
    jobs = [
        {"id": f"j{it}", "image": str(tmp_path / f"{it % 4}.png"), "prompt": "night", "seed": it}
        for it in range(8)
    ]

    def run(ray=True, model=lambda: editor, **options):
        shared = {"steps": 2, "cfg": 2.0}
        out = options.pop("out", tmp_path / "out")
        return batch.run(
            jobs, out=out, model=model, ray=ray, shared=shared, most=2, **options
        )  # fmt: skip

    return run


def pictures(folder):
    """Return what lies there."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_actors_make_what_this_process_would(run, stand, tmp_path, editor):
    """To the byte, and either goes on with what the other made."""
    seen = []
    summary = run(progress=lambda it: seen.append((it.done, it.total)))
    assert (summary.made, summary.there, summary.failed, summary.left) == (8, 0, {}, 0)
    assert seen == [(0, 8), (2, 8), (4, 8), (6, 8), (8, 8)]
    here = run(ray=None, model=editor, out=tmp_path / "here")
    assert here.made == 8
    assert pictures(tmp_path / "out") == pictures(tmp_path / "here")
    assert run(ray=None, model=editor).there == 8
    assert (run().there, run().made) == (8, 0)


def test_a_machine_without_a_gpu_has_one_actor(run, stand):
    """With all its cores; with fewer asked, as many as have room and work."""
    run()
    assert stand.options_given == {"num_gpus": 0.0, "num_cpus": 2.0, "max_restarts": 0}
    assert stand.begun == stand.killed == 1


def test_a_gpu_has_an_actor(run, stand):
    """Also where one machine has none."""
    stand.machines = [{"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}]
    run()
    assert stand.options_given == {"num_gpus": 1.0, "num_cpus": 1.0, "max_restarts": 0}
    assert stand.begun == stand.killed == 2


def test_two_actors_on_a_gpu_have_half_of_its_room(run, stand, monkeypatch):
    """So that what they make at once fits."""
    cut, rooms = batch._running.cut, []

    def looked(entries, facts, loaded, most):
        rooms.append(facts.room)
        return cut(entries, facts, loaded, most)

    monkeypatch.setattr(batch._running, "cut", looked)
    stand.machines = [{"CPU": 8.0, "GPU": 1.0}]
    run(ray=batch.Ray(num_gpus=0.5))
    run()
    assert rooms[0] == rooms[1] // 2
    assert stand.options_given["num_gpus"] == 1.0


def test_a_dead_actor_is_followed_by_another(run, stand, tmp_path):
    """Which makes what the dead one had begun; every output is there once."""
    left = [1, 3]

    def deaths(method, _given):
        if method == "make":
            left[:] = [it - 1 for it in left]
            if 0 in left:
                raise DeadError("killed")

    stand.deaths = deaths
    summary = run()
    assert (summary.made, summary.failed) == (8, {})
    assert stand.begun >= 3
    assert len(pictures(tmp_path / "out")) == 8


def test_a_job_that_kills_its_actors_is_to_blame(run, stand, tmp_path, monkeypatch):
    """After some deaths it becomes a row, with what ran beside it; the others are made."""
    monkeypatch.setattr(_crew, "_DEATHS", 2)

    def deaths(method, given):
        if method == "make" and given[0].members[0].entry.id == "j2":
            raise DeadError("out of\nmemory")

    stand.deaths = deaths
    summary = run()
    assert (summary.made, sorted(summary.failed)) == (6, ["j2", "j3"])
    assert summary.failed["j2"].startswith("2 actors died while they made it and what runs in one")
    assert "(out of memory)" in summary.failed["j2"]
    assert "--batch 1" in summary.failed["j2"]
    stand.deaths = lambda method, given: None
    assert run().left == 0
    assert run(retry=True).made == 2


def test_actors_that_always_die_are_not_begun_forever(run, stand):
    """It ends and says why; nothing is a bad job for it."""

    def deaths(_method, _given):
        raise DeadError("no disk")

    stand.deaths = deaths
    with pytest.raises(rh.RefhooksError, match="8 actors of Ray died, and nothing was made in"):
        run()
    assert stand.begun == 8


def test_a_model_that_cannot_be_loaded_is_told(run, stand, tmp_path):
    """As it was raised, before the first edit; no folder is left."""

    def load():
        raise rh.ModelError("there is no such model")

    with pytest.raises(rh.ModelError, match=r"^there is no such model$"):
        run(model=load)
    assert not (tmp_path / "out").exists()
    assert stand.killed == 1


@pytest.fixture
def two(stand):
    """Room for two actors; the second comes up with the second group."""
    stand.machines = [{"CPU": 1.0}, {"CPU": 1.0}]
    return stand


def test_a_later_actor_that_cannot_load_is_left_out(run, two, editor):
    """With a warning; the first does all, and nobody is begun in its place."""
    loads = []

    def load():
        loads.append(1)
        if len(loads) > 1:
            raise rh.ModelError("no weights here")
        return editor

    with pytest.warns(rh.RefhooksWarning, match="an actor was left out: no weights here"):
        assert run(model=load).made == 8
    assert two.begun == 2


def test_a_later_actor_with_another_model_is_left_out(run, two, monkeypatch):
    """What it makes would not be the same jobs' outputs."""
    facts_of, seen = batch._making.facts_of, []

    def facts(editor):
        seen.append(1)
        facts = facts_of(editor)
        return facts if len(seen) == 1 else attrs.evolve(facts, identity="other")

    monkeypatch.setattr(batch._making, "facts_of", facts)
    with pytest.warns(rh.RefhooksWarning, match="an actor was left out: it has another model than"):
        assert run().made == 8


def test_a_folder_that_is_not_shared_is_told(run, stand, tmp_path):
    """Before the first edit."""

    def deaths(method, _given):
        for mark in (tmp_path / "out").glob(".*.part"):
            mark.unlink()

    stand.deaths = deaths
    with pytest.raises(rh.InputError, match="does not have the folder of outputs"):
        run()


def test_what_an_actor_warns_of_is_told_once(run, editor):
    """Here, where somebody sees it."""

    def load():
        rh._base.advice.warn_user("the model is old")
        return editor

    with pytest.warns(rh.RefhooksWarning, match="the model is old") as told:
        run(model=load)
    assert len(told) == 1


def test_stopping_ends_after_what_is_in_hand(run):
    """The same call goes on."""
    done = []
    stopped = run(progress=lambda it: done.append(it.done), stop=lambda: bool(done and done[-1]))
    assert (stopped.made, stopped.left) == (2, 6)
    assert run().made == 6


def test_what_another_process_makes_is_waited_for(run, tmp_path, monkeypatch):
    """And made here when it gives up."""
    from refhooks._base.claims import Claims

    settled, refused = Claims.settled, []

    def refusing(self, name, is_done, do):
        if name not in refused and len(refused) < 2 and len(name) > 20:
            refused.append(name)
            return False
        return settled(self, name, is_done, do)

    monkeypatch.setattr(Claims, "settled", refusing)
    monkeypatch.setattr(_crew, "_LOOK", 0.0)
    waited = []
    assert run(waits=waited.append).made == 8
    assert waited == [2]


def test_an_output_that_cannot_be_written_ends_it(run, stand, monkeypatch):
    """As without actors: the disk would refuse the others too."""
    from refhooks.batch._outputs import Outputs

    def full(*_):
        raise rh.InputError("out/j0.png cannot be written: no space")

    monkeypatch.setattr(Outputs, "keep", full)
    with pytest.raises(rh.InputError, match=r"^out/j0.png cannot be written: no space$"):
        run()
    assert stand.killed == stand.begun


REFUSED = {
    "ray=5": ({"ray": 5}, "ray must be True, an address or a batch.Ray, got 5"),
    "no address": ({"ray": ""}, "ray must be True, an address or a batch.Ray, got ''"),
    "address": ({"ray": batch.Ray(5)}, "ray's address must be a text, got 5"),
    "gpus": ({"ray": batch.Ray(num_gpus=-1)}, "num_gpus must be a number from 0 to 64, got -1"),
    "no cpus": ({"ray": batch.Ray(num_cpus=0)}, "num_cpus must be a number from 0.01 to 4096"),
    "parts": ({"ray": batch.Ray(num_gpus=1.5)}, "num_gpus above 1 must be whole, got 1.5"),
    "room": ({"ray": batch.Ray(num_gpus=2)}, "no machine of Ray has room for an actor"),
    "connected": ({"ray": "a:1"}, "this process is connected to a Ray already; leave the address"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(run, given, message, tmp_path):
    """Before the first edit; no folder is left."""
    with pytest.raises(rh.InputError) as raised:
        run(**given)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_an_editor_is_refused(run, editor):
    """No other process can have it."""
    with pytest.raises(rh.InputError, match="each actor loads a model of its own"):
        run(model=editor)


def test_a_missing_extra_is_named(monkeypatch):
    """With what installs it."""
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(rh.InputError, match=r"pip install 'refhooks\[ray\]'"):
        batch.run("none.jsonl", out="none", ray=True)


def test_an_address_where_nobody_listens_is_told_at_once():
    """Ray itself would try for two minutes, and then end this process."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            _ray._check_heard(f"127.0.0.1:{free.getsockname()[1]}")
