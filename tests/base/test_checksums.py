"""A checksum of all values of a weight: any one that differs is noticed."""

from __future__ import annotations

import pytest
import torch

from refhooks._apps.grids.fingerprint import fingerprint
from refhooks._base import checksums
from refhooks._base.checksums import checksum, sums

DTYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.bool]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several chunks of few values."""
    monkeypatch.setattr(checksums, "CHUNK", 16)
    checksums._factors.cache_clear()
    yield
    checksums._factors.cache_clear()


def on_a_device(values):
    """What is made of values that are not in the memory of the processor."""
    return sums(values.contiguous().flatten().view(torch.uint8))


@pytest.fixture(params=[checksum, on_a_device], ids=["here", "on a device"])
def check(request):
    """A checksum, made in either way."""
    return request.param


def weight(dtype, count=301):
    """Values of a kind, of a number that no word divides."""
    values = torch.randint(0, 2, (count,), generator=torch.Generator().manual_seed(1))
    return values.to(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("place", [0, 7, 8, 150, 299, 300])
def test_a_single_value_that_differs_is_noticed(check, dtype, place):
    """Wherever it is: in the middle, in another chunk, in the last bytes."""
    one, other = weight(dtype), weight(dtype)
    other[place] = 1 - other[place].to(torch.int32)

    assert check(one) == check(weight(dtype))
    assert check(one) != check(other)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (3, 40), (0, 149)])
def test_values_that_change_places_are_noticed(check, one, other):
    """Their sum is the same."""
    values = torch.arange(150, dtype=torch.float64)
    swapped = values.clone()
    swapped[one], swapped[other] = values[other], values[one]

    assert check(values) != check(swapped)


def test_the_least_bit_counts(check):
    """Of a value whose neighbours are large."""
    values = torch.full((64,), 1e30)
    values[33] = 1.0
    other = values.clone()
    other[33] = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))

    assert check(values) != check(other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [2, 4, 64])
def test_signs_that_change_are_noticed(check, dtype, count):
    """The highest bits of several words, which sums of the words would lose."""
    values = weight(dtype) + 1
    other = values.clone()
    other[:count] = -other[:count]

    assert check(values) != check(other)


def test_a_view_is_read_as_what_it_shows(check):
    """Transposed, cut out, and beginning between two words."""
    values = torch.arange(600, dtype=torch.float32).reshape(20, 30)

    for view in (values.T, values[3:9, 5:11], values.flatten()[1:], values.flatten()[3:200]):
        assert check(view.clone()) == check(view)
    assert check(torch.empty(0)) == check(torch.empty(0))


def test_one_changed_value_of_a_model_makes_other_cells(editor, pipe):
    """In the middle of the largest weight, or of a buffer."""
    before = fingerprint(editor, "toy")
    largest = max(pipe.transformer.parameters(), key=torch.numel).data
    middle = tuple(side // 2 for side in largest.shape)
    kept = largest[middle].clone()
    try:
        largest[middle] = kept + 1e-3
        changed = fingerprint(editor, "toy")
    finally:
        largest[middle] = kept

    assert before != changed
    assert before == fingerprint(editor, "toy")
