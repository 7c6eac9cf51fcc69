"""Completion: what bash, zsh and fish are answered."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.shell_completion import shell_complete

from refhooks.cli import main
from refhooks.cli._completion import offer_completion


@pytest.fixture
def answer(monkeypatch, capsys):
    """Return the lines that a shell is answered for the words of a line; the last one is begun."""
    offer_completion()

    def ask(*words, shell="bash"):
        monkeypatch.setenv("COMP_WORDS", " ".join(["refhooks", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
        assert shell_complete(main, {}, "refhooks", "_REFHOOKS_COMPLETE", f"{shell}_complete") == 0
        return [line for line in capsys.readouterr().out.splitlines() if line]

    return ask


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["pres"], ["plain,presets"]),
        (["edit", "pho"], ["file,pho"]),
        (["edit", "photo.png", "-o", "ni"], ["file,ni"]),
        (["edit", "--method", "inj"], ["plain,inject"]),
        (["edit", "--preset", "color"], ["plain,color-change"]),
        (["edit", "--preset", "./min"], ["file,./min"]),
        (["edit", "--strategy", "s"], ["file,s"]),
        (["edit", "--edit-mask", "m"], ["file,m"]),
        (["edit", "--ref", "co"], ["file,co"]),
        (["edit", "--method", "cross_attn", "--option", "sof"], ["plain,softmax="]),
        (["edit", "--option", "sof"], []),
        (["edit", "--plugin", "al"], ["plain,align"]),
        (["edit", "--model", "./a"], ["dir,./a"]),
        (["chain", "photo.png", "cha"], ["file,cha"]),
        (["check", "guidan"], ["plain,guidance"]),
        (["presets", "color"], ["plain,color-change"]),
        (["grid", "--methods", "default,inj"], ["plain,default,inject"]),
        (["grid", "--rows", "inject.form"], ["plain,inject.formula="]),
        (["grid", "--cells", "fol"], ["dir,fol"]),
        (["replay", "nig"], ["file,nig"]),
        (["score", "--methods", "cross"], ["plain,cross_attn"]),
    ],
)
def test_what_is_begun_is_completed(answer, words, answers):
    """Files, and the names of what plugins register."""
    assert answer(*words) == answers


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["edit", "--method", "=", "inj"], ["plain,inject"]),
        (["edit", "--ref", "coat.png", ":", "cross"], ["plain,cross_attn"]),
        (["edit", "--ref", "coat.png", ":"], ["plain,concat", "plain,cross_attn"]),
        (["edit", "--plugin", "edit-mask", ":", "val"], ["plain,value="]),
        (["grid", "--rows", "method", "=", "default,inj"], ["plain,default,inject"]),
        (["edit", "'wear: this'", "--method", "inj"], ["plain,inject"]),
    ],
)
def test_words_that_bash_divides_are_put_together(answer, words, answers):
    """It divides at ``:`` and ``=``, and takes back what stands behind."""
    assert answer(*words)[: len(answers)] == answers


def test_zsh_and_fish_are_answered_with_whole_words(answer):
    """They divide nothing."""
    assert answer("edit", "--ref", "coat.png:cross", shell="zsh") == [
        "plain", "coat.png:cross_attn", "_",
    ]  # fmt: skip
    assert answer("edit", "--ref", "coat.png:cross", shell="fish") == ["plain,coat.png:cross_attn"]


def test_a_preset_of_ones_own_that_cannot_be_read_hides_no_other(answer, tmp_path, monkeypatch):
    """And a folder that is not there ends in no error."""
    (tmp_path / "mine.toml").write_text('[[stage]]\nmethod = "inject"\n')
    (tmp_path / "bad.toml").write_text("denoise = 3")
    monkeypatch.setenv("REFHOOKS_PRESETS", str(tmp_path))
    assert answer("edit", "--preset", "mi") == ["plain,mine"]

    monkeypatch.setenv("REFHOOKS_PRESETS", str(tmp_path / "none"))
    assert answer("edit", "--preset", "zz") in ([], ["file,zz"])


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", ["complete -o nosort -F", "[[ $value == *= ]] && compopt -o nospace"]),
        ("zsh", ["#compdef refhooks", 'compadd -U -S "" -- "$key"']),
        ("fish", ["complete --no-files --command refhooks", 'string split --max 1 ","']),
    ],
)
def test_each_shell_gets_its_script(capsys, shell, words):
    """With what is changed of click's: it would change without a word where click's does."""
    offer_completion()
    assert shell_complete(main, {}, "refhooks", "_REFHOOKS_COMPLETE", f"{shell}_source") == 0
    text = capsys.readouterr().out
    assert [word for word in words if word not in text] == []


def test_a_shell_is_answered_by_the_program_without_model_code():
    """A shell waits for it: neither torch nor what draws tables is imported."""
    code = (
        "import atexit, sys; from refhooks.cli import main;"
        "atexit.register(lambda: print([name for name in ('torch', 'diffusers', 'rich.console')"
        " if name in sys.modules]));"
        "main(prog_name='refhooks')"
    )
    line = {"COMP_WORDS": "refhooks edit --method inj", "COMP_CWORD": "3"}
    environment = {**os.environ, **line, "_REFHOOKS_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["plain,inject", "[]"]
