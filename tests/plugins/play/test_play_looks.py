"""How the page looks and is used without a mouse, in a real browser: it fits, and is reached."""

from __future__ import annotations

import pytest
from browsing import missing
from looking import INTERACTIVE, fits, tabbed

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=f"no page in a browser: {missing()}"),
]


def test_looks_are_made_on_the_page(visit):
    """A grid, the attention, and advice; drift says what it needs."""
    user = visit()
    page = user.page
    user.sample("meadow.png")
    user.ask("make it night", steps=2, seed=1)
    user.tab("Look")
    page.fill("#grid-strengths input, #grid-strengths textarea", "0, 1")
    page.click("#make-grid")
    page.wait_for_selector("#grid img")
    page.get_by_role("tab", name="Attention", exact=True).click()
    page.click("#make-attention")
    page.wait_for_selector("#attention img")
    page.get_by_role("tab", name="Drift", exact=True).click()
    page.click("#make-drift")
    page.wait_for_selector("#drift-status [role=alert]:has-text('nothing was reused')")
    page.get_by_role("tab", name="Advice", exact=True).click()
    page.click("#make-advice")
    page.wait_for_selector("#advice table")
    page.wait_for_selector("#compared img")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_the_page_fits_and_is_read(visit, size):
    """No tab is wider than the window, nothing overlaps, text stands out from its ground."""
    user = visit(size)
    page = user.page
    user.sample("meadow.png")
    for name in ("Edit", "Steer", "Paint", "Look", "File"):
        user.tab(name)
        fits(page, size, name)


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_the_keyboard_reaches_everything(visit, size):
    """On each tab and each look, with a result there; what has the focus is outlined."""
    user = visit(size)
    page = user.page
    user.sample("meadow.png")
    user.ask("make it night", steps=2, seed=1)
    user.tab("Steer")
    page.click("#add-stage")
    page.wait_for_selector("#method-2 input")
    user.run(1)
    user.tab("File")
    page.click("#write")
    page.wait_for_selector("#download-toml")
    seen = set()
    for name in ("Edit", "Steer", "Paint", "File", "Grid", "Attention", "Drift", "Advice"):
        if name == "Grid":
            user.tab("Look")
        user.tab(name)
        page.wait_for_timeout(1000)
        for part in page.query_selector_all("button.label-wrap:not(.open)"):
            if part.is_visible():
                part.click()
                page.wait_for_timeout(500)
        wanted = page.evaluate(INTERACTIVE)
        assert len(wanted) > 8, name
        reached, unseen = tabbed(page, len(wanted))
        assert [wanted[it] for it in sorted(set(wanted) - reached, key=int)] == [], name
        assert unseen == [], name
        seen |= {wanted[it].split(" ")[0] for it in reached if it in wanted}
    parts = {"source", "prompt", "seed", "run", "cancel", "border", "download", "method-1"}
    parts |= {"options-2", "strength-1", "until-1", "remove-2", "add-stage", "preset", "vision"}
    parts |= {"mask-kind", "painting", "feather", "invert", "use-mask", "load-mask", "save-mask"}
    parts |= {"write", "open", "toml", "grid-methods", "make-grid", "make-drift", "make-advice"}
    assert parts - {"save-mask"} <= seen


def test_before_and_after_are_told_apart_by_keyboard(visit, photo):
    """The arrow keys move where they meet, as the mouse does."""
    user = visit()
    page = user.page
    user.source(photo)
    user.ask("make it night", steps=2, seed=1)
    user.run(1)
    before = page.locator("#slider .outer").bounding_box()["x"]
    page.locator("#border input[type=range]").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    handle = "document.querySelector('#slider .outer').getBoundingClientRect().x"
    page.wait_for_function(f"before => {handle} < before - 40", arg=before)
    assert page.locator("#slider img").count() == 2


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_looks_and_files_fit_and_no_label_lies_on_a_picture(visit, size):
    """With what they make: a grid, plots, advice, a strategy file of long lines."""
    user = visit(size)
    page = user.page
    user.sample("meadow.png")
    user.ask("make it night", steps=6, seed=1)
    user.tab("Steer")
    user.choose("method-1", "cross_attn")
    page.fill("#options-1 input, #options-1 textarea", 'reuse = "every 2", softmax = "separate"')
    page.fill("#strength-1 input, #strength-1 textarea", "1.9")
    page.wait_for_selector("#lanes svg[aria-label*='strength 1.9']")
    fits(page, size, "Steer")
    user.run(1)
    fits(page, size, "Edit")
    user.tab("Look")
    for name, part in (
        ("Grid", "grid"), ("Attention", "attention"), ("Drift", "drift"), ("Advice", "advice"),
    ):  # fmt: skip
        user.tab(name)
        page.click(f"#make-{part}")
        page.wait_for_selector(f"#{'compared' if part == 'advice' else part} img")
        fits(page, size, name)
    user.tab("File")
    page.click("#write")
    page.wait_for_selector("#download-toml")
    fits(page, size, "File")
