"""Attention that sees some of the keys alone, for what leaves tokens out to be compared with."""

from __future__ import annotations

import contextlib

import torch


@contextlib.contextmanager
def seeing(keys):
    """Let attention see the keys where a bool ``[L]`` is True, whatever it is called with."""
    stock = torch.nn.functional.scaled_dot_product_attention
    torch.nn.functional.scaled_dot_product_attention = lambda *args, **kwargs: stock(
        *args, **{**kwargs, "attn_mask": keys[None, None, None]}
    )
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = stock
