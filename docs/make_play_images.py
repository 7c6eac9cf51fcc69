"""Take the pictures of docs/play.md: the page in a browser, a tab each.

    python docs/make_play_images.py

It needs the extra ``play``, playwright and chromium, as the tests of the page do.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "plugins" / "play"))

from browsing import OPTIONS, User, browser_path, served  # noqa: E402  where the tests have it
from playwright.sync_api import sync_playwright  # noqa: E402

IMAGES = Path(__file__).parent / "images"
WIDTH = 880  # pixels


def main() -> None:
    """Make an edit, and look at each tab."""
    with served() as address, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=browser_path(), args=OPTIONS)
        user = User(browser, address, (1100, 700))
        page = user.page
        user.choose("sample", "meadow.png")
        page.wait_for_selector("#reference >> text=1: meadow.png")
        user.tab("Steer")
        page.click("#add-stage")
        page.wait_for_selector("#lanes svg[aria-label*='steps 9 to 16']")
        page.fill("#strength-1 input, #strength-1 textarea", "0.4:1.0")
        page.wait_for_selector("#lanes svg[aria-label*='strength 0.4 to 1']")
        user.ask("make it night", steps=8, seed=1)
        user.run(1)
        user.tab("Paint")
        page.wait_for_selector("#painting canvas")
        page.wait_for_timeout(4000)
        user.paint([[(0.1, y), (0.9, y)] for y in (0.15, 0.2, 0.25)])
        page.click("#use-mask")
        page.wait_for_selector("#paint-status >> text=edit mask is set")
        user.tab("Look")
        page.click("#make-grid")
        page.wait_for_selector("#grid img")
        user.tab("File")
        page.click("#write")
        page.wait_for_selector("#download-toml")
        for name in ("Edit", "Steer", "Paint", "Look", "File"):
            user.tab(name)
            page.wait_for_timeout(1500)
            _write(page.screenshot(full_page=True), f"play-{name.lower()}.png")
        user.close()


def _write(data: bytes, name: str) -> None:
    """Smaller, and in 64 colours: pictures of a page have few."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    size = (WIDTH, picture.height * WIDTH // picture.width)
    small = picture.resize(size, Image.Resampling.LANCZOS)
    small.quantize(64, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main()
