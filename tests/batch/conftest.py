"""A small editor, and what edits one by one and together give."""

from __future__ import annotations

import attrs
import pytest
import tiny
import torch

import refhooks as rh
from refhooks.batch import Job, edit_batch

PROMPTS = ("make it blue", "explain the texture of the background, please", "night")


@pytest.fixture
def jobs():
    """Three jobs: other pictures of 4:3, prompts of other lengths, other seeds."""
    return [Job(tiny.picture(n), prompt, seed=7 * n) for n, prompt in enumerate(PROMPTS)]


@pytest.fixture
def pairs(jobs):
    """The same with a reference each, of 2:3."""
    return [
        attrs.evolve(job, references=[tiny.picture(10 + n, (40, 60))]) for n, job in enumerate(jobs)
    ]


@pytest.fixture
def single(editor):
    """The edit of one job, with the arguments of a batch."""

    def single(job, *, others=None, **options):
        references = [rh.Reference(picture, others) for picture in job.references]
        return editor.edit(
            job.image,
            job.prompt,
            seed=job.seed,
            references=references,
            **{"steps": 3, "cfg": 2.0, **options},
        )

    return single


@pytest.fixture
def same(editor, single):
    """Check that jobs together are those one by one; returns the result."""

    def same(jobs, **options):
        together = edit_batch(editor, jobs, **{"steps": 3, "cfg": 2.0, **options})
        alone = [single(job, **options) for job in jobs]
        expected = torch.cat([result.latents for result in alone])
        assert together.latents.shape == expected.shape
        assert (together.latents - expected).abs().max() <= 1e-5
        assert together.seeds == tuple(job.seed for job in jobs)
        assert together.timetable == alone[0].timetable
        return together

    return same
