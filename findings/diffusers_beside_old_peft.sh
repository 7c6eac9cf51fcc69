#!/usr/bin/env bash
# A peft that diffusers says it works with keeps even a transformer's class from being imported.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1, transformers 5.23.0, peft 0.17.1 and 0.18.0.
# Behaviour: diffusers 0.42.1 states peft>=0.17.0, and peft 0.17.1 any transformers, so pip finds no conflict. But
#   diffusers' models import peft wherever it is installed, also where no LoRA is used, and peft 0.17.1 imports
#   HybridCache, which transformers 5 no longer has. peft 0.18.0 looks for it only where it needs it.
# Seen:
#   stated by diffusers: peft>=0.17.0
#   peft 0.17.1: cannot import name 'HybridCache' from 'transformers'
#   peft 0.18.0: QwenImageTransformer2DModel
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 \
  transformers==5.23.0 accelerate==1.15.0 numpy==2.3.5

cat > "$work/look.py" <<'PYTHON'
import re
from importlib.metadata import version

from diffusers.dependency_versions_table import deps

if version("peft") == "0.17.1":
    print("stated by diffusers:", deps["peft"])
try:
    from diffusers import QwenImageTransformer2DModel as Model

    said = Model.__name__
except RuntimeError as error:
    said = re.search(r"cannot import name '\w+' from '\w+'", str(error))[0]
print(f"peft {version('peft')}: {said}")
PYTHON
for peft in 0.17.1 0.18.0; do
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check "peft==$peft"
  "$work/venv/bin/pip" check > /dev/null
  "$work/venv/bin/python" "$work/look.py"
done | tee "$work/said"

diff "$work/said" - <<'SEEN' > /dev/null || { echo "this has changed"; exit 1; }
stated by diffusers: peft>=0.17.0
peft 0.17.1: cannot import name 'HybridCache' from 'transformers'
peft 0.18.0: QwenImageTransformer2DModel
SEEN
