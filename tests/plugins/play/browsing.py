"""Driving the page in a browser: what is there to drive it with, and what a user does on it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageChops

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
]
SECONDS = 120_000  # of patience, in milliseconds: a machine may be busy


def browser_path():
    """Where a browser is, or nothing."""
    named = os.environ.get("REFHOOKS_BROWSER")
    return named or next(filter(None, map(shutil.which, BROWSERS)), None)


def missing():
    """Why the page cannot be driven here; empty: it can."""
    for name in ("gradio", "playwright"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed"
    return "" if browser_path() else "there is no chromium"


@contextlib.contextmanager
def served(*arguments):
    """Run ``refhooks play`` on a free port; yields its address."""
    command = [sys.executable, "-u", "-m", "refhooks", "play", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        yield re.search(r"http://\S+/", line).group()
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def same(one, other):
    """Whether two pictures are the same to the bit."""
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


OVER = """() => {
  const told = document.querySelector('#running .told:not([data-old])')
  const bad = document.querySelector('#running .refused:not([data-old])')
  return told ? /^(seed|cancelled)/.test(told.textContent) : Boolean(bad)
}"""


OLD = """() => document.querySelectorAll('#running .told, #running .refused')
  .forEach(it => { it.dataset.old = 'yes' })"""


class User:
    """Somebody at the page.

    Attributes:
        page: Playwright's.
        problems: What the console, and the network, complained of.
    """

    def __init__(self, browser, address, size=(1280, 800)):
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, accept_downloads=True
        )
        self.page = page = self.context.new_page()
        page.set_default_timeout(SECONDS)
        self.problems, self.hosts = [], set()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.goto(address)
        page.wait_for_selector("#prompt textarea")
        page.wait_for_selector("#hint >> text=to begin")

    def _said(self, message):
        if message.type == "error":
            self.problems.append(message.text)

    def tab(self, name):
        """Open a tab."""
        self.page.get_by_role("tab", name=name, exact=True).click()

    def upload(self, where, *paths):
        """Give files to an upload field."""
        self.page.set_input_files(f"#{where} input[type=file]", [str(path) for path in paths])

    def source(self, path):
        """Upload the picture that is edited, and wait until it is shown."""
        self.upload("source", path)
        self.page.wait_for_selector(f"#reference >> text=1: {path.name}")

    def sample(self, name):
        """Take a sample as the source."""
        self.choose("sample", name)
        self.page.wait_for_selector(f"#reference >> text=1: {name}")

    def choose(self, where, option):
        """Choose from a dropdown."""
        self.page.click(f"#{where} input")
        self.page.get_by_role("option", name=option, exact=True).last.click()  # one may be closing

    def ask(self, prompt, **numbers):
        """Fill the tab Edit."""
        self.tab("Edit")
        self.page.fill("#prompt textarea", prompt)
        for name, value in numbers.items():
            self.page.fill(f"#{name} input", str(value))

    def run(self, seed):
        """Run the edit, wait for it, and return the picture of the file that is downloaded."""
        self.tab("Edit")
        self.page.evaluate(OLD)  # what is said of the edit before
        self.page.click("#run")
        self.page.wait_for_function(OVER)
        said = self.page.inner_text("#running")
        assert f"seed {seed}," in said, said
        self.page.wait_for_selector("#slider")
        return Image.open(self.download("download")).convert("RGB")

    def download(self, button):
        """Press a button that downloads; returns the file, under its own name."""
        with self.page.expect_download() as told:
            self.page.click(f"#{button}")
        place = Path(told.value.path())
        return place.rename(place.with_name(told.value.suggested_filename))

    def lanes(self):
        """What the lanes say of themselves, in words."""
        return [it.get_attribute("aria-label") for it in self.page.query_selector_all("#lanes svg")]

    def paint(self, strokes):
        """Paint with the mouse: strokes as (x, y) points, 0-1 of the picture."""
        canvas = self.page.locator("#painting canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        side = min(box["width"], box["height"]) * 0.9
        left = box["x"] + (box["width"] - side) / 2
        top = box["y"] + (box["height"] - side) / 2
        mouse = self.page.mouse
        for stroke in strokes:
            points = [(left + x * side, top + y * side) for x, y in stroke]
            mouse.move(*points[0])
            mouse.down()
            for point in points[1:]:
                mouse.move(*point, steps=8)
            mouse.up()

    def close(self):
        """Leave; nothing may have gone wrong, and nobody else been asked for anything."""
        self.context.close()
        assert self.problems == []
        assert {it.split(":")[0] for it in self.hosts if it} <= {"127.0.0.1"}
