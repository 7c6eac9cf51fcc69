"""``refhooks edit`` with reuse: what it says before, after, and with ``--measure-drift``."""

from __future__ import annotations

import math
import re

import pytest
import tiny
from click.testing import CliRunner
from PIL import Image

import refhooks as rh
from refhooks._base.measures import peak_signal_to_noise
from refhooks.cli import main


@pytest.fixture
def edit(tmp_path, monkeypatch, toy):
    """Run ``refhooks edit`` on a picture with a strategy that reuses."""
    monkeypatch.chdir(tmp_path)
    tiny.picture(0, (32, 32)).save("photo.png")

    def run(*arguments, reuse="every 2"):
        method = rh.method("cross_attn", reuse=reuse)
        rh.dump_strategy(rh.Strategy([rh.Stage(method, 0.8)]), "s.toml")
        given = ["--steps", "5", "--seed", "1", "--strategy", "s.toml", *arguments]
        return CliRunner().invoke(
            main, ["edit", "photo.png", "make it blue", "-o", "o.png", *given]
        )

    return run


def test_it_says_what_it_does(edit):
    """Before: when, how much and how exact; after: how far things had moved. One line is result."""
    result = edit()

    assert result.exit_code == 0, result.stderr
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: re")]
    assert "stored at steps 1, 3, 5 and reused at 2 more; they take 0.02 MiB" in notes[0]
    assert notes[1].startswith("note: reuse is approximate")
    assert re.match(r"note: reference 1: keys and values had moved by 0\.\d+", notes[2])
    assert notes[2].endswith("when stored anew at steps 3, 5")
    assert result.stdout.count("\n") == 1


def test_without_reuse_it_says_nothing(edit):
    """No remark, no drift."""
    result = edit(reuse="never")

    assert result.exit_code == 0, result.stderr
    assert "reuse" not in result.stderr
    assert "moved" not in result.stderr


def test_measure_drift_runs_twice_and_compares(edit, pipe):
    """PSNR and SSIM of the picture against the same edit without reuse."""
    calls = []
    handle = pipe.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    result = edit("--measure-drift")
    handle.remove()
    assert result.exit_code == 0, result.stderr
    measured = Image.open("o.png").copy()
    edit(reuse="never")
    expected = peak_signal_to_noise(Image.open("o.png"), measured)

    assert len(calls) == 2 * 2 * 5
    assert "the same edit once more, without reuse" in result.stderr
    line = result.stdout.splitlines()[1]
    said = "equal to the bit" if math.isinf(expected) else f"PSNR {expected:.1f} dB"
    assert line.startswith(f"seed 1, against no reuse: {said}, SSIM ")


def test_measure_drift_needs_reuse(edit, monkeypatch):
    """Refused before the model loads."""
    monkeypatch.setattr(rh.Editor, "from_pretrained", None)

    result = edit("--measure-drift", reuse="never")

    assert result.exit_code != 0
    assert "no method of this edit reuses anything" in result.stderr


def test_psnr():
    """−10·log10 of the mean squared difference; infinite where there is none."""
    black, grey = (Image.new("RGB", (4, 4), (value,) * 3) for value in (0, 51))

    assert peak_signal_to_noise(black, grey) == pytest.approx(-20 * math.log10(0.2))
    assert peak_signal_to_noise(grey, grey) == math.inf
