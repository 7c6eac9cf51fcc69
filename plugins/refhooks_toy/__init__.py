"""Toyland: procedural scenes, edits with known right answers, and a tiny edit model for them.

`import refhooks_toy` imports neither torch nor diffusers; `load_pipeline` does when called.
"""

from refhooks_toy._edits import EDIT_KINDS, TWO_PICTURES, WHOLE_PICTURE, Edit, make_edit
from refhooks_toy._pairs import HELD_OUT, Pairs, make_pairs
from refhooks_toy._scenes import SIZE, Face, Scene, Shape, random_scene
from refhooks_toy._weights import PROJECTION, SAMPLES, WEIGHTS, load_pipeline

__all__ = [
    "EDIT_KINDS",
    "HELD_OUT",
    "PROJECTION",
    "SAMPLES",
    "SIZE",
    "TWO_PICTURES",
    "WEIGHTS",
    "WHOLE_PICTURE",
    "Edit",
    "Face",
    "Pairs",
    "Scene",
    "Shape",
    "load_pipeline",
    "make_edit",
    "make_pairs",
    "random_scene",
]
