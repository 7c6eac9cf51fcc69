#!/usr/bin/env bash
# ModularPipeline.save_pretrained says that it takes an os.PathLike, and takes a str alone.
#
# Packages: torch 2.13.0 (CPU), diffusers 0.42.1, transformers 5.23.0.
# Behaviour: its argument is annotated and documented as `str` or `os.PathLike`, as that of
#   DiffusionPipeline.save_pretrained, which takes both. Before anything is saved it is split as a text, also
#   where nothing is pushed to the Hub, so a pathlib.Path ends in an AttributeError.
# Seen:
#   annotated: str | os.PathLike
#   str: saved ['modular_model_index.json', 'scheduler']
#   Path: AttributeError: 'PosixPath' object has no attribute 'split'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 diffusers==0.42.1 \
  transformers==5.23.0 accelerate==1.15.0 numpy==2.3.5

cd "$work"
"$work/venv/bin/python" - <<'PYTHON' | tee "$work/said"
import inspect
from pathlib import Path

from diffusers import FlowMatchEulerDiscreteScheduler, FluxKontextModularPipeline, ModularPipeline

pipe = FluxKontextModularPipeline()
pipe.update_components(scheduler=FlowMatchEulerDiscreteScheduler())
parameter = inspect.signature(ModularPipeline.save_pretrained).parameters["save_directory"]
print("annotated:", parameter.annotation)

pipe.save_pretrained("text")
print("str: saved", sorted(path.name for path in Path("text").iterdir()))
try:
    pipe.save_pretrained(Path("path"))
    print("Path: saved")
except AttributeError as error:
    print(f"Path: AttributeError: {error}")
PYTHON

diff "$work/said" - <<'SEEN' > /dev/null || { echo "this has changed"; exit 1; }
annotated: str | os.PathLike
str: saved ['modular_model_index.json', 'scheduler']
Path: AttributeError: 'PosixPath' object has no attribute 'split'
SEEN
