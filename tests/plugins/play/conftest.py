"""A page on the tiny model without a browser, and on the embedded model in one."""

from __future__ import annotations

import shutil

import pytest
import tiny
from browsing import OPTIONS, User, browser_path, served
from PIL import Image

import refhooks as rh
import refhooks_toy
from refhooks_play._running import Runner
from refhooks_play._session import Session


@pytest.fixture(scope="session")
def runner(editor):
    """The queue before the tiny model."""
    return Runner(editor)


@pytest.fixture
def page(runner, tmp_path):
    """A session without a picture."""
    session = Session(runner, tmp_path)
    yield session
    session.close()


@pytest.fixture(scope="session")
def embedded():
    """The queue before the embedded model, which a command line without ``--model`` has."""
    return Runner(rh.Editor.from_pretrained("toy"))


@pytest.fixture
def toy_page(embedded, tmp_path):
    """Open a session on the embedded model."""
    made = []

    def opened():
        made.append(Session(embedded, tmp_path))
        return made[-1]

    yield opened
    for session in made:
        session.close()


@pytest.fixture
def files(tmp_path):
    """A folder with pictures, as a user has them."""
    place = tmp_path / "files"
    place.mkdir()
    tiny.picture(1, (32, 24)).save(place / "photo.png")
    tiny.picture(2, (32, 32)).save(place / "coat.png")
    mask = Image.new("L", (32, 24))
    mask.paste(255, (8, 8, 24, 16))
    mask.save(place / "white.png")
    return place


@pytest.fixture
def ready(page, files):
    """A session with a picture and a prompt."""
    page.set_source(files / "photo.png")
    page.change(prompt="make it blue", steps=3, seed=1)
    return page


@pytest.fixture(scope="module")
def address():
    """The page, served by the command."""
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        yield player.chromium.launch(executable_path=browser_path(), args=OPTIONS)


@pytest.fixture
def visit(browser, address):
    """Open the page as another user; all leave at the end."""
    users = []

    def visit(size=(1280, 800)):
        users.append(User(browser, address, size))
        return users[-1]

    yield visit
    for user in users:
        user.close()


@pytest.fixture
def photo(tmp_path):
    """A sample of the embedded model, as a user's own file."""
    return shutil.copy(refhooks_toy.SAMPLES / "meadow.png", tmp_path / "photo.png")
