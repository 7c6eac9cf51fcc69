"""What the commands say of themselves, and how errors end."""

from __future__ import annotations

import subprocess
import sys

import pytest

import refhooks.cli
from refhooks.cli import main
from refhooks.errors import InputError, RefhooksWarning

GROUPS = {
    "Model": [
        "--model", "--transformer", "--device", "--dtype", "--offload", "--quantize", "--lora",
        "--shift",
    ],
    "Reference": ["--method", "--strength", "--option", "--preset", "--strategy", "--ref"],
    "Masks": ["--mask-region", "--mask-content", "--edit-mask", "--compute", "--feather",
              "--invert-masks"],
    "Plugins": ["--plugin", "--check"],
    "Sampling": ["--steps", "--denoise", "--seed", "-n", "--cfg", "--cache", "--negative",
                 "--resolution", "--height", "--width", "--vision-resolution", "--align"],
    "Output": ["-o", "--preview-every", "--measure-drift", "--embed", "--metadata",
               "--no-recipe"],
    "General": ["--debug", "-h"],
}  # fmt: skip


def sections(text):
    """Return the first word of each line under each heading of a help text."""
    found = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            found[line[:-1]] = heads = []
        elif found and line.startswith("  ") and not line.startswith("   "):
            heads.append(line.split()[0].rstrip(","))
    return found


def test_edit_help_groups_its_options(cli):
    """Model, reference, sampling, output, in this order, then what every command has."""
    found = sections(cli("edit", "--help").stdout)
    examples = found.pop("Examples")
    assert list(GROUPS.items()) == list(found.items())
    assert examples == ["refhooks", "refhooks"]


def test_edit_help_examples_parse(cli, monkeypatch):
    """The two examples of the help are command lines that the command takes."""
    import shlex

    seen = []
    monkeypatch.setattr("refhooks.cli._edit.edit_command", seen.append)
    text = cli("edit", "--help").stdout
    examples = [line.strip() for line in text.splitlines() if line.startswith("  refhooks ")]
    for example in examples:
        assert cli(*shlex.split(example)[1:]).exit_code == 0
    assert [options.output for options in seen] == ["night.png", "out.png"]


@pytest.mark.parametrize("command", [(), ("edit",), ("plugins",), ("demo",)])
def test_help_exits_with_0(cli, command):
    """Help is no error, and names the command."""
    result = cli(*command, "-h")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["edit", "--help"], ("torch", "diffusers", "numpy", "PIL")),
        (["--help"], ("torch", "diffusers")),
        (["plugins"], ("torch", "diffusers")),
    ],
)
def test_help_imports_no_model_code(arguments, without):
    """It answers before torch could be imported, also where it loads every plugin."""
    code = (
        "import sys; from refhooks.cli import main;"
        f"main({arguments}, standalone_mode=False);"
        f"print([name for name in {without} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_refhooks_is_the_command():
    """``python -m refhooks`` needs no script on the path; a usage error ends it with 2."""
    done = subprocess.run(
        [sys.executable, "-m", "refhooks", "edti"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert (done.stderr.splitlines()) == [
        "error: No such command 'edti'. Did you mean 'edit'?",
        "help: refhooks --help",
    ]


def test_main_is_the_only_public_name():
    """The console script needs one name."""
    assert refhooks.cli.__all__ == ["main"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.png", "x"), "Missing option '-o' / '--output'."),
        (("a.png", "x", "-o", "b.png", "--steps", "0"), "Invalid value for '--steps': 0"),
        (("a.png", "x", "-o", "b.png", "--offload", "disk"), "Invalid value for '--offload'"),
        (("a.png", "x", "-o", "b.png", "--stregth", "1"), "No such option '--stregth'."),
    ],
)
def test_usage_errors_are_one_line_and_say_where_the_help_is(cli, arguments, message):
    """They exit with 2, like every error that the user can put right."""
    result = cli("edit", *arguments)
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert second.endswith("edit --help")


def fail_with(monkeypatch, error):
    """Make ``refhooks plugins`` raise."""

    def fail(**_options):
        raise error

    monkeypatch.setattr("refhooks.cli._plugins.list_plugins", fail)


def test_a_refhooks_error_is_one_line(cli, monkeypatch):
    """Control characters of a file name are spelt out: a terminal would obey them."""
    fail_with(monkeypatch, InputError("a\x1b[31m\nb"))
    result = cli("plugins")
    assert (result.exit_code, result.stderr) == (2, "error: a\\x1b[31m b\n")


def test_another_error_names_its_type_and_its_plugin(cli, monkeypatch):
    """It exits with 1; the note that the core added says which plugin raised it."""
    error = ZeroDivisionError("by zero")
    error.add_note("raised by inject (reference 1, stage 1), refhooks_step, step 2 of 4")
    fail_with(monkeypatch, error)
    result = cli("plugins")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: ZeroDivisionError: by zero",
        "note: raised by inject (reference 1, stage 1), refhooks_step, step 2 of 4",
        "help: the same command with --debug shows where it happened",
    ]


def test_debug_shows_the_traceback(cli, monkeypatch):
    """The error's own line still comes last."""
    fail_with(monkeypatch, InputError("no"))
    result = cli("plugins", "--debug")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1] == "error: no"


def test_a_warning_is_one_line_and_comes_once(cli, monkeypatch):
    """The same picture is read twice; its warning is shown once."""
    import warnings

    def warn(**_options):
        for _ in range(2):
            warnings.warn("animated", RefhooksWarning, stacklevel=1)

    monkeypatch.setattr("refhooks.cli._plugins.list_plugins", warn)
    result = cli("plugins")
    assert (result.exit_code, result.stderr) == (0, "warning: animated\n")


def test_ctrl_c_exits_with_130(cli, monkeypatch):
    """As shells count a SIGINT."""
    fail_with(monkeypatch, KeyboardInterrupt())
    result = cli("plugins")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr


def test_a_caller_of_main_may_take_the_exceptions(monkeypatch):
    """``standalone_mode=False`` is click's: nothing is caught, nothing exits."""
    fail_with(monkeypatch, InputError("no"))
    with pytest.raises(InputError, match="no"):
        main(["plugins"], standalone_mode=False)
