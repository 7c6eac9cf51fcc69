"""Command lines that the help of each command shows, there to be copied."""

from __future__ import annotations

EDIT = (
    'refhooks edit photo.png "make it night" -o night.png --strength 0.8 --seed 7',
    'refhooks edit photo.png "wear the coat of Picture 2" --ref coat.png:default:0.6 -o out.png',
)

REPLAY = (
    "refhooks replay night.png",
    "refhooks replay night.png --set strength=0.7 --set seed=8 -o other.png",
)

PRESETS = (
    "refhooks presets color-change",
    'refhooks edit photo.png "make the circle red" -o red.png --preset color-change',
)

CHAIN = (
    "refhooks chain photo.png chain.toml -o out.png --seed 7",
    'refhooks chain photo.png -p "make it winter" -p "add a star" -o out.png --strength 1:0.8',
)

GRID = (
    'refhooks grid photo.png "make it night" --methods default,inject --strengths 0,1 -o grid.png',
    'refhooks grid photo.png "make it night" --rows denoise=0.7,1 --seeds 0,1 -o grid.png',
)

BATCH = (
    'refhooks batch photos "make it night" -o night --strength 0.8',
    "refhooks batch jobs.jsonl -o out --retry",
    "refhooks batch jobs.jsonl -o out --ray",
)

EXPLAIN = (
    "refhooks explain night.png",
    "refhooks explain night.png --source photo.png --html night.html",
)

SCORE = (
    "refhooks score --quick -o score",
    "refhooks score --model Qwen/Qwen-Image-Edit-2511 --pairs pairs.jsonl --quick -o qwen",
)

PLAN = (
    "refhooks plan strategy.toml --steps 28",
    "refhooks plan strategy.toml --model toy --plot plan.png",
    "refhooks plan strategy.toml --steps 28 --cost",
)
