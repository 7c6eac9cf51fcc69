"""Versions of the contract: who is refused, and how a hook or an argument goes out of use."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from plugs import plugin

import refhooks as rh
from refhooks import hookimpl, hookspecs
from refhooks.hookspecs import RunHooks

MAJOR, MINOR = hookspecs.HOOKSPEC_VERSION


def bringing(version):
    """Return a plugin module that states a version."""

    @hookimpl
    def refhooks_methods():
        return []

    return SimpleNamespace(
        __name__="future", REFHOOKS_HOOKSPEC=version, refhooks_methods=refhooks_methods
    )


@pytest.mark.parametrize("version", [f"{MAJOR}.{MINOR}", f"{MAJOR}.0"])
def test_a_plugin_for_this_contract_is_taken(pipe, version):
    """Also one that needs less than there is."""
    assert rh.Editor(pipe, plugins=[bringing(version)])


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (
            f"{MAJOR + 1}.0",
            f"needs hookspec {MAJOR + 1}.0; this refhooks has {MAJOR}.{MINOR}: up",
        ),
        (f"{MAJOR}.{MINOR + 1}", f"needs hookspec {MAJOR}.{MINOR + 1}; this refhooks has"),
        (f"{MAJOR - 1}.9", f"was written for hookspec {MAJOR - 1}.9; this refhooks has"),
        (1.0, r'must be a text such as "1.0", got 1.0'),
        ("latest", "got 'latest'"),
        ("1.0; import os", "got '1.0; import os'"),
    ],
)
def test_a_plugin_for_another_contract_is_refused_in_one_sentence(pipe, version, words):
    """Before anything of it is looked at, which may not exist here."""
    with pytest.raises(rh.PluginError, match=words) as caught:
        rh.Editor(pipe, plugins=[bringing(version)])

    assert "'future'" in str(caught.value)


def test_a_deprecated_hook_warns_where_it_is_implemented(edit, monkeypatch):
    """The warning is the spec's own; the hook still works."""
    options = RunHooks.refhooks_step.refhooks_spec
    monkeypatch.setitem(options, "warn_on_impl", DeprecationWarning("use refhooks_velocity"))
    seen = []

    with pytest.warns(DeprecationWarning, match="use refhooks_velocity") as caught:
        edit(plugins=[plugin(refhooks_step=lambda ctx: seen.append(ctx.step.index))])

    assert seen == [0, 1, 2]
    assert caught[0].filename == __file__


def test_a_deprecated_argument_warns_those_who_take_it(edit, monkeypatch):
    """And nobody else."""
    options = RunHooks.refhooks_step.refhooks_spec
    monkeypatch.setitem(
        options, "warn_on_impl_args", {"latents": DeprecationWarning("latents will go")}
    )

    with pytest.warns(DeprecationWarning, match="latents will go"):
        edit(plugins=[plugin(refhooks_step=lambda latents: latents)])
    edit(plugins=[plugin(refhooks_step=lambda ctx: None)])  # a warning would be an error here
