"""Toyland: procedural scenes and edits, and a tiny edit model trained on them."""
