"""The files of a new plugin's package, as templates; ``refhooks new`` writes them."""
