"""refhooks decides how, and how much, each reference picture steers an image-edit diffusion model.

``Editor`` loads a model and edits; ``Strategy``, ``Stage`` and ``Reference`` say how references
steer; ``hookimpl``, ``Context``, ``Inputs`` and the other values are for those who write plugins
(see ``refhooks.hookspecs``).
"""

from refhooks._apps.advice.advice import Advice, Issue
from refhooks._apps.chains.chain import Chain, ChainResult, Edit
from refhooks._apps.chains.chain_file import dump_chain, load_chain
from refhooks._apps.editing.result import EditResult
from refhooks._apps.files.presets import Preset, preset, presets
from refhooks._apps.files.strategy_file import (
    dump_strategy,
    load_plugins,
    load_references,
    load_strategy,
)
from refhooks._apps.forecast.cost import Cost, cost
from refhooks._apps.forecast.lanes import Lanes, draw_lanes
from refhooks._apps.forecast.planned import plan
from refhooks._apps.grids.result import GridResult
from refhooks._apps.recipes.parts import RecipeFile, RecipeModel, RecipePicture, RecipeReference
from refhooks._apps.recipes.picture_files import load_recipe, strip_recipe
from refhooks._apps.recipes.recipe import Recipe
from refhooks._base.advice import warn_user
from refhooks._base.shift import Shift
from refhooks._base.size import Size
from refhooks._core.contract.checkpoint import Checkpoint
from refhooks._core.contract.drift import Drift
from refhooks._core.contract.entries import CommandEntry, EmbeddedModel, FamilyEntry
from refhooks._core.contract.family import Family, FamilyRun, Guidance, Shown
from refhooks._core.contract.inside import Inside
from refhooks._core.contract.methods import BoundReference, Method, ModelInfo, RunInfo, RunPlugin
from refhooks._core.contract.model_shape import ModelShape
from refhooks._core.contract.outlook import Outlook, PlannedStage
from refhooks._core.contract.protocols import MaskShape, Schedule, StageStep, Switch
from refhooks._core.contract.source import Source
from refhooks._core.contract.values import (
    Adapter,
    AttentionEdit,
    Branch,
    Context,
    Inputs,
    KeyValues,
    Layout,
    LowRank,
    Planned,
    Row,
    Step,
    Text,
    Tokens,
)
from refhooks._core.masks.mask import Mask
from refhooks._core.models.loaded import LoadedModel
from refhooks._core.planning.factories import mask, method, plugin, schedule, switch
from refhooks._core.planning.strategy import Reference, Stage, Strategy
from refhooks._core.planning.timetable import Timetable
from refhooks._core.plugins.loading import load_registry
from refhooks._core.plugins.registry import PluginRecord, Registry
from refhooks._editor import Editor
from refhooks._loras.records import LoraState
from refhooks.errors import (
    BusyError,
    HookReturnError,
    InputError,
    ModelError,
    NotFiniteError,
    OutOfMemoryError,
    PluginError,
    RefhooksError,
    RefhooksWarning,
    StrategyError,
    UnknownNameError,
)
from refhooks.hookspecs import hookimpl

__version__ = "0.1.0"

__all__ = [
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
