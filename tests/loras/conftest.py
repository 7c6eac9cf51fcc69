"""Editors of three families, and LoRA files for them."""

from __future__ import annotations

import pytest
from lora_models import build
from safetensors.torch import save_file


@pytest.fixture(scope="session", params=["qwen", "qwen-image-21", "stranger"])
def any_editor(request):
    """An editor of each family; a test takes off what it adds."""
    return build(request.param)


@pytest.fixture(scope="session")
def model_editor():
    """An editor of one family, likewise."""
    return build("qwen")


@pytest.fixture
def editor():
    """An editor of the test's own."""
    return build("qwen")


@pytest.fixture
def save(tmp_path):
    """Write a file, and return its path."""

    def save(tensors, name="style.safetensors", notes=None):
        path = tmp_path / name
        whole = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
        save_file(whole, path, metadata=notes)
        return path

    return save
