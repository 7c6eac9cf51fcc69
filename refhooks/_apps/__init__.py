"""What is built on the core: each package is one thing that a user does.

Strategy files and presets, recipes, advice, edits with their results, chains, replays, grids and
forecasts. They may import the core and what is below, and each other downwards only (see the
contract in ``pyproject.toml``); the front door, ``refhooks.Editor``, stands above them. A new
thing that a user does with edits comes here as a package of its own.
"""
