"""Every family: its small pipeline, its stock call, and what it does not do.

The tests in `tests/plugins/families` run one contract over all rows, and `docs/write_works_with.py`
writes down what each row says. The next family costs its adapter and a row.
"""

from __future__ import annotations

import contextlib
import warnings
from functools import partial

import attrs
import pytest
import tiny
import torch
from diffusers import hooks
from diffusers.pipelines.flux import pipeline_flux_kontext
from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus

import refhooks as rh
from refhooks import testing
from refhooks_flux2._tiny import tiny_dev, tiny_klein, tiny_kv
from refhooks_flux3._tiny import tiny_modular
from refhooks_kontext._tiny import tiny_pipeline as tiny_kontext
from refhooks_longcat._tiny import tiny_pipeline as tiny_longcat
from refhooks_qwen21._tiny import tiny_pipeline as tiny_21

PROMPT, STEPS, SEED = "make it blue", 2, 1
CONTENT = rh.mask(box="0,0,50%,100%", kind="content")
REGION = rh.mask(box="0,0,50%,100%", kind="region")
# What a strategy of the source is made of, by the column of the page that it fills.
WAYS = {
    "default": rh.Stage("default", "0.4:0.9"),
    "inject": rh.Stage("inject", 0.6),
    "concat": rh.Stage(rh.method("concat", tied=True), 0.6),
    "cross_attn": rh.Stage("cross_attn", "0.4:0.9"),
    "guidance": rh.Stage("guidance", 1.4),
    "content mask": rh.Strategy("default", masks=[CONTENT]),
    "region mask": rh.Strategy("default", masks=[REGION]),
    "switch": rh.Strategy([rh.Stage("cross_attn", 0.5, until=0.5), rh.Stage("inject", 0.5)]),
    "reuse": rh.Stage(rh.method("cross_attn", reuse="once"), "0.4:0.9"),
}
# A column of the page, and the test of the contract that holds its cells: what a row refuses, or
# diffusers has not, that test finds refused or missing, and everything else it finds to work.
HELD = {
    "methods": "test_every_way_acts",
    "masks": "test_every_way_acts",
    "K/V reuse": "test_every_way_acts",
    "references": "test_as_many_references_as_it_takes",
    "LoRA": "test_a_lora_on_and_off",
    "offload": "test_offload",
    "float8 at rest": "test_layerwise_casting",
    "compiled blocks": "test_compiled_blocks",
    "step caches": "test_step_caches",
}
CACHED_STEPS = 5  # of which the caches leave some out
ALWAYS = 1e9  # a threshold below which every step after the first is
# How each step cache is put on, also on a model that has no `enable_cache`.
CACHES = {
    "First Block Cache": lambda model: hooks.apply_first_block_cache(
        model, hooks.FirstBlockCacheConfig(threshold=ALWAYS)
    ),
    "MagCache": lambda model: hooks.apply_mag_cache(
        model,
        hooks.MagCacheConfig(
            threshold=ALWAYS, num_inference_steps=CACHED_STEPS, mag_ratios=[1.0] * CACHED_STEPS
        ),
    ),
    "TaylorSeer": lambda model: hooks.apply_taylorseer_cache(
        model,
        hooks.TaylorSeerCacheConfig(cache_interval=3, taylor_factors_dtype=torch.float32),
    ),
}
UNKNOWN_BLOCKS = ("First Block Cache", "MagCache")  # they ask a registry of blocks
NO_CACHE = dict.fromkeys(CACHES, "the transformer has a step cache")


@attrs.frozen
class Row:
    """One family.

    Attributes:
        family: Its registered name, or of a checkpoint that has more than the name says.
        make: Makes a small pipeline; takes ``dtype``.
        call: What its stock pipeline is called with besides size, steps and prompt, given pictures
            and the guidance scale.
        cfg: Guidance scale of the tests; ``None``: it has none.
        negative: Negative prompt, where one is read.
        side: Of the output, in pixels.
        size: Width and height of the pictures.
        checkpoint: What the editor is told of it.
        sized: Whether its stock pipeline takes ``height`` and ``width``.
        latents: Whether its stock pipeline has no callback, but gives its latents at the end.
        load: Returns an editor, where it is not made of ``make``.
        refuses: What is refused, by its name in this module: what the message must say.
        lacks: The step caches that diffusers has not for its blocks.
    """

    family: str
    make: object
    call: object
    cfg: float | None = 2.0
    negative: str | None = "red"
    side: int = 32
    size: tuple[int, int] = (48, 32)
    checkpoint: rh.Checkpoint = rh.Checkpoint()  # noqa: RUF009  frozen
    sized: bool = True
    latents: bool = False
    load: object = None
    refuses: dict[str, str] = attrs.field(factory=dict)
    lacks: tuple[str, ...] = ()

    def editor(self, **options):
        """Return an editor on a pipeline of its own, whose random weights look at each other."""
        if self.load is not None:
            return self.load()
        pipe = self.make(**options)
        with torch.no_grad():
            for weight in pipe.transformer.parameters():
                weight.mul_(1.6)
        editor = rh.Editor(pipe, checkpoint=self.checkpoint)
        editor.made_of = pipe  # the modular pipeline, of one that is made of its components
        editor.pipe.set_progress_bar_config(disable=True)
        return editor

    def pictures(self, count, first=0):
        """Random pictures of one size."""
        return [testing.picture(first + number, self.size) for number in range(count)]

    @contextlib.contextmanager
    def unless_refused(self, what):
        """Run a block, which is to be refused where the row says so.

        Yields:
            Whether it is to be.
        """
        message = self.refuses.get(what)
        if message is None:
            yield False
            return
        with pytest.raises(rh.InputError, match=message):
            yield True

    @contextlib.contextmanager
    def quiet(self):
        """Without the warnings of a trained model: these are pictures of another world."""
        with warnings.catch_warnings():
            if self.load is not None:
                warnings.simplefilter("ignore", rh.RefhooksWarning)
            yield

    def stock(self, editor, pictures, steps=STEPS):
        """Latents of the stock pipeline, called as its users call it."""
        seen = {}
        call = {"num_inference_steps": steps, "prompt": PROMPT}
        call["generator"] = torch.Generator().manual_seed(SEED)
        if self.sized:
            call |= {"height": self.side, "width": self.side}
        blocks = getattr(editor, "made_of", editor.pipe)
        if blocks is not editor.pipe:
            made = blocks(**call, **self.call(pictures, self.cfg), output="latents")
            return made.flatten(2).transpose(1, 2)
        if self.latents:
            return editor.pipe(**call, **self.call(pictures, self.cfg), output_type="latent").images
        editor.pipe(
            **call, **self.call(pictures, self.cfg),
            callback_on_step_end=lambda _pipe, _step, _t, tensors: seen.update(tensors) or tensors,
        )  # fmt: skip
        return seen["latents"]

    def edit(self, editor, pictures, strategy=None, **options):
        """Edit the first picture, with the others beside it."""
        call = {"steps": STEPS, "seed": SEED, "height": self.side, "width": self.side, **options}
        if self.cfg is not None:
            call["cfg"] = self.cfg
        if self.negative is not None:
            call["negative_prompt"] = self.negative
        source = rh.Reference(pictures[0], strategy)
        with self.quiet():
            return editor.edit(source, PROMPT, references=pictures[1:], **call)


def _true(pictures, cfg, *, one=False, **more):
    """The call of the pipelines with ``true_cfg_scale``."""
    image = pictures[0] if one else pictures
    return {"image": image, "true_cfg_scale": cfg, "negative_prompt": "red", **more}


def _guided(pictures, cfg, *, one=False, **more):
    """The call of those with ``guidance_scale``."""
    scale = {} if cfg is None else {"guidance_scale": cfg}
    return {"image": pictures[0] if one else pictures, **scale, **more}


QWEN = partial(tiny.build, "plus", "middle")
FLUX2 = {"side": 64, "size": (96, 64), "cfg": 4.0, "negative": ""}
DISTILLED = {**FLUX2, "cfg": None, "negative": None}
TWO_KINDS = {"First Block Cache": "whose last block returns its tokens in another form"}
AREA = rh.Checkpoint(reference=tiny.AREA)
ROWS = {
    row.family: row
    for row in (
        Row(
            "qwen-image-edit", partial(tiny.build, "edit", "middle"), partial(_true, one=True),
            checkpoint=AREA,
        ),
        Row("qwen-image-edit-plus", QWEN, _true),
        Row("qwen-image-edit-plus, 2511", partial(QWEN, zero_cond_t=True), _true),
        Row(
            "qwen-image-21", tiny_21, partial(_true, output_resolution=64), side=64, size=(64, 48),
            checkpoint=AREA, lacks=UNKNOWN_BLOCKS,
            refuses={"positions": "whose references stand within the text", **NO_CACHE},
        ),
        Row("flux2-klein", tiny_klein, _guided, refuses=TWO_KINDS, **FLUX2),
        Row(
            "flux2-klein, distilled", partial(tiny_klein, distilled=True), _guided,
            refuses=TWO_KINDS, **DISTILLED,
        ),
        Row("flux2-klein-kv", tiny_kv, _guided, refuses=NO_CACHE, **DISTILLED),
        Row("flux2-dev", tiny_dev, _guided, refuses=TWO_KINDS, **{**FLUX2, "negative": None}),
        Row(
            "flux-kontext", tiny_kontext, partial(_guided, one=True, max_area=tiny.AREA // 4),
            negative=None,
        ),
        Row(
            "longcat-image-edit", tiny_longcat, partial(_guided, one=True, negative_prompt="red"),
            size=(32, 32), sized=False, latents=True, lacks=UNKNOWN_BLOCKS,
        ),
        Row(
            "flux3", partial(tiny_modular, singles=2), partial(_guided, negative_prompt=""),
            lacks=UNKNOWN_BLOCKS, refuses=NO_CACHE, **{**FLUX2, "cfg": None},
        ),
        Row(
            "flux3, distilled", partial(tiny_modular, distilled=True, singles=2), _guided,
            lacks=UNKNOWN_BLOCKS, refuses=NO_CACHE, **DISTILLED,
        ),
        Row(
            "toy", None, _true, side=64, size=(64, 64),
            load=partial(rh.Editor.from_pretrained, "toy"),
        ),
    )
}  # fmt: skip


def ways_of(row, editor, names=("none", *WAYS)):
    """Latents of an edit with no strategy, and of ways to steer."""
    picture = row.pictures(1)
    return {name: row.edit(editor, picture, WAYS.get(name)).latents for name in names}


def assert_close(expected, actual, atol=0.0):
    """The same latents, within a tolerance."""
    for name, latents in actual.items():
        difference = float((expected[name] - latents).abs().max())
        assert (name, difference <= atol) == (name, True), difference


def shrink(patch, row):
    """Shrink the areas to which the stock pipelines resize pictures.

    Args:
        patch: A ``pytest.MonkeyPatch``.
        row: The family.
    """
    area = row.side**2 if row.load or row.latents else tiny.AREA
    edit = pipeline_qwenimage_edit.calculate_dimensions
    longcat = pipeline_longcat_image_edit.calculate_dimensions
    own = [(row.side, row.side), (row.side + 16, row.side)]
    patch.setattr(
        pipeline_qwenimage_edit, "calculate_dimensions", lambda _area, ratio: edit(area, ratio)
    )
    patch.setattr(
        pipeline_longcat_image_edit, "calculate_dimensions", lambda _, ratio: longcat(area, ratio)
    )
    patch.setattr(pipeline_flux_kontext, "PREFERRED_KONTEXT_RESOLUTIONS", own)
    patch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", area)
    patch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", area)
