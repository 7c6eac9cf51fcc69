#!/usr/bin/env bash
# transformers 5.24.0 loads a LoRA with the newest peft, and then can neither switch it, list it nor take it off.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1, transformers 5.24.0 and 5.23.0, peft 0.21.2.
# Behaviour: diffusers loads a LoRA of FLUX's text encoder through transformers' load_adapter, which works with peft
#   0.21.2, the newest that is published in November 2026. All else that transformers has for adapters asks for peft
#   0.22.0, which pip cannot find; the package states no version of peft. With transformers 5.23.0 it works.
# Seen:
#   transformers 5.24.0: loaded 4 weights; active_adapters, set_adapter, disable_adapters, delete_adapter: version >= 0.22.0
#   transformers 5.23.0: loaded 4 weights; active_adapters, set_adapter, disable_adapters, delete_adapter: done
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 \
  accelerate==1.15.0 numpy==2.3.5 peft==0.21.2

cat > "$work/look.py" <<'PYTHON'
import re

import torch
import transformers
from diffusers.loaders import FluxLoraLoaderMixin
from transformers import CLIPTextConfig, CLIPTextModel

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
encoder = CLIPTextModel(
    CLIPTextConfig(
        hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2,
        vocab_size=1000, projection_dim=32, bos_token_id=0, eos_token_id=1,
    )
)
layers = [name for name, _ in encoder.named_modules() if name.endswith("q_proj")]
lora = {}
for layer in layers:
    lora[f"text_encoder.{layer}.lora_A.weight"] = torch.zeros(4, 32)
    lora[f"text_encoder.{layer}.lora_B.weight"] = torch.zeros(32, 4)
FluxLoraLoaderMixin.load_lora_into_text_encoder(lora, None, encoder, prefix="text_encoder")
loaded = sum("lora_" in name for name, _ in encoder.named_parameters())
said = set()
calls = {
    "active_adapters": encoder.active_adapters,
    "set_adapter": lambda: encoder.set_adapter("default_0"),
    "disable_adapters": encoder.disable_adapters,
    "delete_adapter": lambda: encoder.delete_adapter("default_0"),
}
for call in calls.values():
    try:
        call()
        said.add("done")
    except ValueError as error:
        said.add(re.search(r"version >= \S+", str(error))[0])
[told] = said
print(f"transformers {transformers.__version__}: loaded {loaded} weights; {', '.join(calls)}: {told}")
PYTHON
for version in 5.24.0 5.23.0; do
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "transformers==$version"
  "$work/venv/bin/pip" check > /dev/null
  "$work/venv/bin/python" "$work/look.py"
done | tee "$work/said"

diff "$work/said" - <<'SEEN' > /dev/null || { echo "this has changed"; exit 1; }
transformers 5.24.0: loaded 4 weights; active_adapters, set_adapter, disable_adapters, delete_adapter: version >= 0.22.0
transformers 5.23.0: loaded 4 weights; active_adapters, set_adapter, disable_adapters, delete_adapter: done
SEEN
