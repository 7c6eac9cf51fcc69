"""The public surface, exactly."""

from __future__ import annotations

import inspect
import subprocess
import sys

import refhooks
from refhooks import errors, hookspecs, score

PUBLIC = [
    "Adapter",
    "Advice",
    "AttentionEdit",
    "BoundReference",
    "Branch",
    "BusyError",
    "Chain",
    "ChainResult",
    "Checkpoint",
    "CommandEntry",
    "Context",
    "Cost",
    "Drift",
    "Edit",
    "EditResult",
    "Editor",
    "EmbeddedModel",
    "Family",
    "FamilyEntry",
    "FamilyRun",
    "GridResult",
    "Guidance",
    "HookReturnError",
    "InputError",
    "Inputs",
    "Inside",
    "Issue",
    "KeyValues",
    "Lanes",
    "Layout",
    "LoadedModel",
    "LoraState",
    "LowRank",
    "Mask",
    "MaskShape",
    "Method",
    "ModelError",
    "ModelInfo",
    "ModelShape",
    "NotFiniteError",
    "OutOfMemoryError",
    "Outlook",
    "Planned",
    "PlannedStage",
    "PluginError",
    "PluginRecord",
    "Preset",
    "Recipe",
    "RecipeFile",
    "RecipeModel",
    "RecipePicture",
    "RecipeReference",
    "Reference",
    "RefhooksError",
    "RefhooksWarning",
    "Registry",
    "Row",
    "RunInfo",
    "RunPlugin",
    "Schedule",
    "Shift",
    "Shown",
    "Size",
    "Source",
    "Stage",
    "StageStep",
    "Step",
    "Strategy",
    "StrategyError",
    "Switch",
    "Text",
    "Timetable",
    "Tokens",
    "UnknownNameError",
    "cost",
    "draw_lanes",
    "dump_chain",
    "dump_strategy",
    "hookimpl",
    "load_chain",
    "load_plugins",
    "load_recipe",
    "load_references",
    "load_registry",
    "load_strategy",
    "mask",
    "method",
    "plan",
    "plugin",
    "preset",
    "presets",
    "schedule",
    "strip_recipe",
    "switch",
    "warn_user",
]
LOADED = """
import sys
import refhooks
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_the_public_names():
    """A change here is a change for users."""
    assert refhooks.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


def test_every_public_name_is_there_and_documented():
    """Each can be imported and has a docstring."""
    for name in refhooks.__all__:
        assert getattr(refhooks, name).__doc__, name


def test_every_argument_of_edit_is_documented():
    """In the order of the signature."""
    doc = inspect.getdoc(refhooks.Editor.edit)
    taken = [*inspect.signature(refhooks.Editor.edit).parameters.values()][1:]
    names = [("**" if it.kind == it.VAR_KEYWORD else "") + it.name for it in taken]
    section = doc[doc.index("Args:") : doc.index("Raises:")]

    assert names == [
        line.strip().split(":")[0]
        for line in section.splitlines()
        if line.startswith("    ") and not line.startswith("     ")
    ]


def test_importing_loads_neither_models_nor_plugins():
    """`import refhooks` is quick, and registers nothing."""
    names = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "refhooks" in names
    heavy = {"torch", "diffusers", "transformers", "accelerate", "numpy", "PIL", "safetensors"}
    assert set() == heavy & set(names)
    assert [name for name in names if name.startswith("refhooks_")] == []


def test_the_tree_at_the_top_of_errors_is_the_tree():
    """Every error is listed under its base, with the built-in it also is."""
    listed = {}
    depth = {0: None}
    for line in errors.__doc__.splitlines():
        mark = next((mark for mark in ("├── ", "└── ") if mark in line), None)
        if line.startswith("RefhooksError"):
            depth[1] = "RefhooksError"
        elif mark:
            before, entry = line.split(mark)
            level = len(before) // 4 + 1
            name, rest = entry.split()[0], entry.split()[1]
            also = rest.strip("()") if rest.startswith("(") else None
            listed[name] = (depth[level], also)
            depth[level + 1] = name

    actual = {}
    for name, cls in vars(errors).items():
        if (
            inspect.isclass(cls)
            and issubclass(cls, errors.RefhooksError)
            and cls is not errors.RefhooksError
        ):
            own, *also = cls.__bases__
            actual[name] = (own.__name__, also[0].__name__ if also else None)
    assert listed == actual


def test_hookspecs_exports_what_plugins_need():
    """The contract's module has a public surface of its own."""
    assert hookspecs.__all__ == [
        *["HOOKSPEC_VERSION", "Registration", "RunHooks", "hookimpl", "hookspec"]
    ]
    assert hookspecs.hookimpl is refhooks.hookimpl


def test_score_exports_what_scorecards_need():
    """Scoring has a public surface of its own, each name of it documented."""
    assert score.__all__ == [
        *["Cell", "Interval", "Pair", "Progress", "Scene", "Score", "Scorecard", "Settings"],
        *["Shot", "changed_region", "copied", "draw_responses", "draw_tradeoff", "edges_kept"],
        *["edit_done", "edit_pairs", "interval", "kept", "measure", "psnr", "read_cells"],
        *["read_manifest", "rmse", "run_cells", "ssim", "strength_cells"],
    ]
    assert [name for name in score.__all__ if not getattr(score, name).__doc__] == []
