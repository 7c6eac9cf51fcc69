"""Actors of a real Ray, where it is installed; ``test_batch_crew`` has the rest on a stand-in.

python -m pytest -p no:xdist tests/batch/test_batch_ray.py
"""

from __future__ import annotations

import functools
import os
import signal
import sys

import pytest
import tiny
from places import BENCHMARKS

import refhooks as rh
from refhooks import batch
from refhooks.batch import _crew

pytest.importorskip("ray", reason="the extra 'ray' is not installed, and not part of 'dev'")

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),  # actors import torch, beside whatever else runs
    pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="run it with -p no:xdist"),
    pytest.mark.skipif(sys.platform == "win32", reason="processes are killed"),
    pytest.mark.filterwarnings("ignore"),  # of Ray
]


@pytest.fixture(scope="module")
def cluster():
    """One Ray for all tests of this file, with two CPUs; its actors find this file's modules."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield ray
        ray.shutdown()


def load(killer=None):
    """Return an editor in an actor; the one that comes by ``killer`` first kills itself later."""
    editor = rh.Editor(
        tiny.build("plus", "small"),
        checkpoint=rh.Checkpoint(output=32**2, reference=32**2, vision=32**2, cfg=2.0, steps=2),
    )
    together = batch._making.edit_together

    def edit_together(loaded, requests, plans):
        kills = killer is not None and (killer.is_dir() or not killer.exists())
        if kills and requests[0].seeds[0] >= 4:
            killer.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return together(loaded, requests, plans)

    batch._making.edit_together = edit_together
    return editor


@pytest.fixture
def run(tmp_path):
    """Run eight jobs, two in a pass, of which one picture is broken."""
    for number in range(3):
        tiny.picture(number, (32, 32)).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"broken")
    jobs = [
        {"id": f"j{it}", "image": str(tmp_path / f"{it % 4}.png"), "prompt": "night", "seed": it}
        for it in range(8)
    ]

    def run(out="out", model=load, ray=batch.Ray(num_cpus=1), **options):  # noqa: B008  frozen
        return batch.run(jobs, out=tmp_path / out, model=model, ray=ray, most=2, **options)

    return run


def pictures(folder):
    """Return what lies there."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_driver_is_gone_on_with(tmp_path, monkeypatch):
    """And a killed actor with it: each output once, as undisturbed, and no process is left.

    It comes first: the driver is forked, from a process that must not be connected to a Ray.
    """
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _batch_kills
    from kills import register_tiny

    monkeypatch.setitem(rh.load_registry().models, "tiny", None)
    register_tiny()
    result = _batch_kills.share_batch(tmp_path, kills=2, edits=80, seed=42, where="ray")
    assert result["wrong"] == result["made_twice"] == []
    assert result["ids"] == 80
    assert sum(result["killed"].values()) == 2


def test_killed_actors_leave_what_one_process_makes(cluster, run, tmp_path):
    """To the byte, errors.jsonl too; nothing is left behind, and nothing is made again."""
    summary = run(model=functools.partial(load, tmp_path / "killed"))
    assert (tmp_path / "killed").is_file()
    assert (summary.made, sorted(summary.failed), summary.left) == (6, ["j3", "j7"], 0)
    assert run("here", ray=None).made == 6
    assert pictures(tmp_path / "out") == pictures(tmp_path / "here")
    assert run(ray=None).there == 6


def test_a_job_that_kills_every_actor_is_a_row(cluster, run, tmp_path, monkeypatch):
    """And so are those of its pass; the others are made."""
    monkeypatch.setattr(_crew, "_DEATHS", 2)
    (tmp_path / "always").mkdir()
    summary = run(model=functools.partial(load, tmp_path / "always"))
    assert summary.made == 4
    assert "2 actors died while they made it" in summary.failed["j5"]
