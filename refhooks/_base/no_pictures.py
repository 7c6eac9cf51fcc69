"""What users give for a picture that is none, and how it becomes one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from refhooks._base.numbers import is_list

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["kind_of", "of_address"]


def kind_of(value: object) -> str:
    """Return what a message calls the value, with what makes a picture of it."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"{kind}; PIL.Image.fromarray makes one of an array [height,width,3] of uint8"
    if hasattr(value, "permute"):
        return f"{kind}; torchvision's to_pil_image makes one of a tensor [3,height,width] in 0-1"
    if isinstance(value, bytes):
        return f"{kind}; PIL.Image.open(io.BytesIO(data)) makes one of a file's bytes"
    return f"{kind}; other pictures go into references=[...]" if is_list(value) else kind


def of_address(path: Path) -> str:
    """Return what a message adds where a path was meant as an address on the Web."""
    is_address = re.match(r"https?:/", str(path)) is not None
    return "; no address is opened: fetch it, then name the file" if is_address else ""
