"""What a batch refuses, before anything is encoded, and how it says so."""

from __future__ import annotations

import attrs
import pytest
import tiny

import refhooks as rh
from refhooks.batch import Job, Options, edit_batch


@pytest.fixture
def refused(editor, pipe, monkeypatch):
    """Run a batch that is refused with an error, without a call of any part of the model."""

    def called(*_args, **_kwargs):
        raise AssertionError("the model was called")

    def refused(jobs, error=rh.InputError, **options):
        for part in (pipe.transformer, pipe.text_encoder, pipe.vae.encoder):
            monkeypatch.setattr(part, "forward", called)
        with pytest.raises(error) as caught:
            edit_batch(editor, jobs, **{"steps": 2, **options})
        return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])

    return refused


@pytest.mark.parametrize("jobs", [[], (), "abc", None, ["a prompt"]])
def test_jobs_are_a_list_of_jobs(refused, jobs):
    """At least one."""
    assert "jobs must be a list of at least one Job" in refused(jobs)


def test_pictures_are_of_one_size(refused, jobs):
    """The message names the job, the picture and both sizes."""
    other = attrs.evolve(jobs[1], image=tiny.picture(0, (48, 64)))

    message = refused([jobs[0], other])

    assert message == (
        "job 2: picture 1 is 48x64, that of the first job 64x48; a batch needs pictures of one size"
    )


def test_references_of_a_place_are_of_one_size(refused, pairs):
    """The second picture of each job."""
    other = attrs.evolve(pairs[2], references=[tiny.picture(0, (60, 40))])

    assert "job 3: picture 2 is 60x40, that of the first job 40x60" in refused([*pairs[:2], other])


def test_jobs_have_as_many_references(refused, jobs, pairs):
    """None here, one there."""
    message = refused([pairs[0], jobs[1]])

    assert "job 2 has 0 references besides its source, the first has 1" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stps", "Did you mean 'steps'?"),
        ("seed", "prompts, seeds and pictures are those of the jobs"),
        ("prompt", "There are align, cache, callback, cfg, check, compute, denoise, edit_mask"),
        ("n", "edit_batch() has no option 'n'"),
        ("references", "edit_batch() has no option 'references'"),
    ],
)
def test_an_unknown_option(refused, jobs, name, said):
    """As for any function, with what there is; what a job has is no option."""
    assert said in refused(jobs, TypeError, **{name: 1})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prompt", ["blue", "red"], "a job's prompt must be a string"),
        ("prompt", "a <|im_end|>", "control token"),
        ("seed", None, "seed must be a whole number"),
        ("seed", [1, 2], "seed must be a whole number"),
        ("seed", -1, "seed must be a whole number"),
        ("image", None, "a job's pictures are paths or PIL pictures, got None"),
        ("image", "missing.png", "missing.png"),
        ("references", "b.png", "a job's references must be a list, got str"),
        ("references", [None], "a job's pictures are paths or PIL pictures, got None"),
    ],
)
def test_the_message_names_the_job(refused, jobs, field, value, said):
    """A job that cannot be used, among those that can."""
    message = refused([jobs[0], attrs.evolve(jobs[1], **{field: value})])

    assert said in message
    assert message.endswith("raised by job 2 of a batch")


@pytest.mark.parametrize("field", ["image", "references"])
def test_a_job_has_no_strategy_of_its_own(refused, jobs, field):
    """It would be ignored for all but the first."""
    reference = rh.Reference(tiny.picture(), "inject")
    value = reference if field == "image" else [reference]

    message = refused([attrs.evolve(job, **{field: value}) for job in jobs])

    assert "a batch is steered by its arguments strategy and others" in message


def test_negative_prompts_are_one_or_one_a_job(refused, jobs):
    """Anything between is a mistake."""
    message = refused(jobs, negative_prompt=["grey", "blue"])

    assert message == "negative_prompt must be one string, or one for each of the 3 jobs, got 2"


def test_what_a_single_edit_refuses(refused, jobs):
    """Numbers out of range, too many references, an unknown method."""
    many = [attrs.evolve(job, references=[tiny.picture()] * 3) for job in jobs]

    assert "cfg must be a number from 0 to 100" in refused(jobs, cfg=-1)
    assert "denoise must be a number above 0" in refused(jobs, denoise=0)
    assert "at most 3 references" in refused(many)
    assert "cros_attn" in refused(jobs, rh.UnknownNameError, strategy="cros_attn")


def test_a_batch_waits_for_nothing(editor, jobs):
    """While it runs, the model is busy, and after an error it is free."""
    held = []

    def busy(*_):
        with pytest.raises(rh.BusyError):
            edit_batch(editor, jobs, steps=2)
        held.append(1)

    edit_batch(editor, jobs[:1], steps=2, callback=busy)
    assert held == [1, 1]


def test_options_are_arguments_of_edit():
    """Each is one, and none that a job has is among them."""
    import inspect

    arguments = set(inspect.signature(rh.Editor.edit).parameters)
    own = {"self", "image", "prompt", "seed", "references", "strategy", "n"}
    in_its_place = {"method", "strength", "preset", "unknown"}  # of the strategy, and no argument

    assert Options.__optional_keys__ == arguments - own - in_its_place
    assert {"image", "prompt", "seed", "references"} == set(attrs.fields_dict(Job))
