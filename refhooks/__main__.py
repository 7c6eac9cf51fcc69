"""``python -m refhooks`` is the command ``refhooks``."""

from refhooks.cli import main

if __name__ == "__main__":
    main(prog_name="refhooks")
