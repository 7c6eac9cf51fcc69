"""The page in a real browser, on the embedded model."""

from __future__ import annotations

import pytest
from browsing import missing, same, served
from PIL import Image, ImageChops

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=f"no page in a browser: {missing()}"),
]


def test_an_edit_is_painted_steered_run_and_exported_and_made_again_elsewhere(visit, photo):
    """Upload, mask by mouse, a stage more, a run, the slider, TOML, another page: to the bit."""
    user = visit()
    page = user.page
    user.source(photo)
    user.ask("make it night", steps=6, seed=1)

    user.tab("Steer")
    page.click("#add-stage")
    page.wait_for_selector("#method-2 input")
    page.fill("#strength-1 input, #strength-1 textarea", "0.4:1.0")
    user.choose("method-1", "inject")
    page.wait_for_selector("#lanes svg[aria-label*='inject, steps 1 to 3, strength 0.4 to 1']")
    page.fill("#until-1 input, #until-1 textarea", "nonsense")
    page.wait_for_selector("#lanes [role=alert]:has-text('until')")
    page.fill("#until-1 input, #until-1 textarea", "0.5")
    page.wait_for_selector("#lanes svg[aria-label*='default, steps 4 to 6, strength 1']")

    user.tab("Paint")
    page.wait_for_selector("#painting canvas")
    page.click("#use-mask")
    page.wait_for_selector("#paint-status >> text=nothing is painted yet")
    user.paint([[(0.1, y), (0.9, y)] for y in (0.15, 0.18, 0.21, 0.24)])
    page.click("#use-mask")
    page.wait_for_selector("#paint-status >> text=edit mask is set")
    mask = Image.open(user.download("save-mask")).convert("L")
    source = Image.open(photo).convert("RGB")
    assert mask.size == source.size
    assert mask.getpixel((32, 13)) == 255
    assert mask.getpixel((32, 55)) == 0

    first = user.run(1)
    box = ImageChops.difference(first, source).getbbox()
    assert box is not None
    assert box[3] <= 32  # only what was painted has changed

    _move_the_slider(page)

    user.tab("File")
    page.click("#write")
    page.wait_for_selector("#download-toml")
    strategy = user.download("download-toml")
    assert strategy.name == "strategy.toml"
    assert 'method = "inject"' in strategy.read_text()
    mask_file = user.page.locator("#command textarea").input_value()
    assert "--edit-mask=mask-edit.png" in mask_file

    other = visit()
    other.tab("File")
    other.upload("open", strategy, photo)
    other.page.wait_for_selector("#file-status >> text=opened strategy.toml")
    other.tab("Steer")
    other.page.wait_for_selector("#lanes svg[aria-label*='inject, steps 1 to']")
    mask.save(photo.parent / "mask.png")
    other.tab("Paint")
    other.upload("load-mask", photo.parent / "mask.png")
    other.page.wait_for_selector("#paint-status >> text=edit mask is set")
    other.ask("make it night", steps=6, seed=1)
    assert same(other.run(1), first)


def _move_the_slider(page):
    """Drag it from the middle to the left: what is shown of the result grows."""
    slider = page.locator("#slider")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    handle = page.locator("#slider [role=slider], #slider .outer, #slider .inner").first
    before = handle.bounding_box()["x"]
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, at[1], steps=6)
    page.mouse.up()
    assert handle.bounding_box()["x"] < before - box["width"] * 0.15


def test_a_picture_that_was_made_carries_its_page(visit, photo, tmp_path):
    """Downloaded and opened elsewhere, nothing else with it."""
    user = visit()
    user.source(photo)
    user.ask("make it night", steps=4, seed=3)
    first = user.run(3)
    made = user.download("download")

    other = visit()
    other.tab("File")
    other.upload("open", made)
    other.page.wait_for_selector("#file-status >> text=opened edited-3.png")

    assert same(other.run(3), first)
    assert other.page.input_value("#prompt textarea") == "make it night"


def test_an_edit_is_cancelled_and_the_next_is_clean(visit, photo):
    """In the middle of a run that would take minutes; a look at the picture comes before."""
    user = visit()
    page = user.page
    user.source(photo)
    user.ask("make it night", steps=4, seed=2)
    clean = user.run(2)
    user.ask("make it night", steps=1000, seed=2)
    page.click("#run")
    page.wait_for_selector("#running >> text=/step [1-9]/")
    page.wait_for_selector("#preview img")

    page.click("#cancel")

    page.wait_for_selector("#running >> text=cancelled")
    user.ask("make it night", steps=4, seed=2)
    assert same(user.run(2), clean)


def test_two_people_share_the_model_and_not_their_pictures(visit, photo):
    """One waits and knows its place; nobody sees the other's."""
    first, second = visit(), visit()
    first.source(photo)
    first.ask("make it night", steps=1000, seed=1)
    first.page.click("#run")
    first.page.wait_for_selector("#running >> text=/step [1-9]/")
    second.choose("sample", "beach.png")
    second.page.wait_for_selector("#reference >> text=1: beach.png")
    second.ask("make it night", steps=4, seed=5)
    second.page.click("#run")
    second.page.wait_for_selector("#running >> text=waiting: 1 edit is before this one")

    first.page.click("#cancel")

    second.page.wait_for_selector("#running >> text=seed 5")
    assert first.page.locator("text=beach.png").count() == 0
    assert second.page.locator("text=photo.png").count() == 0


def test_what_is_hostile_is_refused_or_shown_as_text(visit, photo, tmp_path):
    """An upload that is no picture, one of 100 megapixels, names and prompts with markup."""
    user = visit()
    page = user.page
    page.on("dialog", lambda dialog: user.problems.append(dialog.message))
    evil = tmp_path / "evil.png"
    evil.write_bytes(b"\x89PNG\r\n\x1a\n<script>alert(1)</script>")
    user.upload("source", evil)
    page.wait_for_selector("#edit-status [role=alert]:has-text('evil.png')")
    large = tmp_path / "large.png"
    Image.new("1", (10000, 10000)).save(large)
    user.upload("source", large)
    page.wait_for_selector("#edit-status [role=alert]:has-text('100 megapixels')")
    user.source(photo)
    markup = "<img src=x onerror=alert(1)><b>make it night</b>"
    user.ask(markup, steps=2, seed=1)
    user.run(1)
    user.tab("Steer")
    page.wait_for_selector("#lanes svg")
    page.fill("#options-1 input, #options-1 textarea", markup)
    page.wait_for_selector("#lanes [role=alert]:has-text('options cannot be read as TOML')")
    assert page.locator("#lanes img, #lanes b").count() == 0
    page.fill("#options-1 input, #options-1 textarea", "")
    user.tab("File")
    page.click("#write")
    page.wait_for_function("document.querySelector('#command textarea').value.includes('<b>')")
    bad = tmp_path / "bad.toml"
    bad.write_text('[[reference]]\nimage = "/etc/passwd"\n')
    user.upload("open", bad)
    page.wait_for_selector("#file-status [role=alert]:has-text('is not on the page')")


def test_choices_are_followed_each_time(visit, photo):
    """Samples, references and presets, again and again; each reference has its own table."""
    user = visit()
    page = user.page
    for name in ("beach.png", "winter.png", "meadow.png"):
        user.choose("sample", name)
        page.wait_for_selector(f"#reference >> text=1: {name}")
    page.click("#references button")
    for number, name in enumerate(("star.png", "face.png"), 2):
        user.choose("more-sample", name)
        page.wait_for_selector(f"#reference >> text={number}: {name}")
    user.tab("Steer")
    user.choose("method-1", "inject")
    page.wait_for_selector("#lanes svg[aria-label*='face.png: inject']")
    for number, name in ((1, "meadow.png"), (2, "star.png"), (3, "face.png"), (1, "meadow.png")):
        page.click(f"#reference >> text={number}: {name}")
        method = "inject" if number == 3 else "default"
        page.wait_for_function(
            f"document.querySelector('#method-1 input').value == '{method}'"
            f" && document.querySelector('#reference input:checked').value.startsWith('{number}')"
        )
    for name in ("style-transfer", "color-change", "style-transfer"):
        user.choose("preset", name)
        page.wait_for_function(
            "document.querySelector('#strength-1 input, #strength-1 textarea').value"
        )
    assert sum("inject" in lane for lane in user.lanes()) >= 1


def test_a_password_is_asked_for():
    """Nothing of the page is there without it."""
    import httpx

    with served("--password", "open sesame") as address:
        with httpx.Client(base_url=address) as nobody:
            assert nobody.get("config").status_code == 401
            told = {"username": "me", "password": "wrong"}
            assert nobody.post("login", data=told).status_code == 400
            assert nobody.get("config").status_code == 401
        with httpx.Client(base_url=address) as somebody:
            told["password"] = "open sesame"
            assert somebody.post("login", data=told).status_code == 200
            assert somebody.get("config").status_code == 200


def test_the_page_forbids_what_is_elsewhere(address):
    """In every answer."""
    import httpx

    answer = httpx.get(address)

    assert "default-src 'self'" in answer.headers["content-security-policy"]
