"""What adapters to flow-matching models on packed latents share.

:class:`FlowFamily` and :class:`FlowRun` are :class:`refhooks.Family` and
:class:`refhooks.FamilyRun` with what such models have in common: noise from seeds, one encoded text
for each pass, grids, plain classifier-free guidance, the end of a run. An adapter adds how a prompt
and a picture are encoded, what its transformer is given, and how latents become pictures.

The module imports neither torch nor diffusers: a plugin that defines its family in its own module
is loaded with every command.
"""

from refhooks._attending.joining import Joiner
from refhooks._attending.layer_hooks import LayerHooks, is_compiled
from refhooks._attending.step_caches import StepCaches, refuse_step_cache, step_cache_of
from refhooks._flow.family import FlowFamily
from refhooks._flow.joint_run import JointRun
from refhooks._flow.parts import check_words, flow_schedule, sizes, with_own_vae
from refhooks._flow.patches import PatchFamily, PatchRun
from refhooks._flow.places import Places
from refhooks._flow.processors import StillPictures, load_pipeline
from refhooks._flow.run import FlowRun

__all__ = [
    "FlowFamily",
    "FlowRun",
    "Joiner",
    "JointRun",
    "LayerHooks",
    "PatchFamily",
    "PatchRun",
    "Places",
    "StepCaches",
    "StillPictures",
    "check_words",
    "flow_schedule",
    "is_compiled",
    "load_pipeline",
    "refuse_step_cache",
    "sizes",
    "step_cache_of",
    "with_own_vae",
]
