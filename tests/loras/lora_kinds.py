"""The kinds of changes that are applied, as tensors of a layer, with what they come to."""

from __future__ import annotations

import torch


def random(*sizes, seed=0):
    """Return random numbers."""
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def lokr_whole(out, into):
    """Both factors whole: alpha has no say, whatever it is."""
    one, two = random(2, 2), random(out // 2, into // 2)
    return {"lokr_w1": one, "lokr_w2": two, "alpha": torch.tensor(1e10)}, torch.kron(one, two)


def lokr_uneven(out, into):
    """A first factor that no rule of peft's would make."""
    one, two = random(4, 2), random(out // 4, into // 2)
    return {"lokr_w1": one, "lokr_w2": two}, torch.kron(one, two)


def lokr_factored(out, into):
    """The second factor in two, of rank 2, with alpha 1."""
    one, left, right = random(2, 2), random(out // 2, 2), random(2, into // 2, seed=1)
    parts = {"lokr_w1": one, "lokr_w2_a": left, "lokr_w2_b": right, "alpha": torch.tensor(1.0)}
    return parts, 0.5 * torch.kron(one, left @ right)


def lokr_both(out, into):
    """Both in two."""
    a, b, left, right = (
        random(2, 2),
        random(2, 2, seed=3),
        random(out // 2, 2),
        random(2, into // 2),
    )
    parts = {"lokr_w1_a": a, "lokr_w1_b": b, "lokr_w2_a": left, "lokr_w2_b": right}
    return parts, torch.kron(a @ b, left @ right)


def loha(out, into):
    """Two low-rank products, multiplied by element, with alpha 1 at rank 2."""
    a, b = random(out, 2), random(2, into, seed=1)
    c, d = random(out, 2, seed=2), random(2, into, seed=3)
    parts = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    return {**parts, "alpha": torch.tensor(1.0)}, 0.5 * (a @ b) * (c @ d)


def difference(out, into):
    """The whole difference, as programs extract it."""
    return {"diff": random(out, into)}, random(out, into)


def without_weight(out, into):
    """Factors that some scripts save without ``.weight``."""
    down, up = random(2, into), random(out, 2, seed=1)
    return {"lora_A": down, "lora_B": up}, up @ down


WRITERS = [
    lokr_whole, lokr_uneven, lokr_factored, lokr_both, loha, difference, without_weight,
]  # fmt: skip
# What the page says of each: kind, parts, formula; `s` is the scale that add_lora is given.
KINDS = [
    ("LoRA", ["lora_A", "lora_B", "alpha"], "`W + s·alpha/rank·B·A`; ranks and alphas may differ"),
    ("bias of a LoRA", ["lora_B.bias", "lora_up.bias"], "`b + s·alpha/rank·bias`"),
    ("bias of ComfyUI", ["diff_b"], "`b + s·diff_b`"),
    ("whole difference", ["diff"], "`W + s·diff`; as large as the layer"),
    (
        "LoKr",
        ["lokr_w1", "lokr_w2", "lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "alpha"],
        "`W + s·alpha/rank·kron(w1, w2)`; alpha counts where one of them is in two",
    ),
    (
        "LoHa", ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"],
        "`W + s·alpha/rank·(w1_a·w1_b)∘(w2_a·w2_b)`",
    ),
    (
        "DoRA", ["lora_A", "lora_B", "alpha", "dora_scale", "lora_magnitude_vector"],
        "`m·V/|V|` with `V = W + alpha/rank·B·A`, by output; at scale 1 alone",
    ),
]  # fmt: skip
