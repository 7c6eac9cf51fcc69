"""The page in a real browser, on the embedded model."""

from __future__ import annotations

import io
import shutil

import pytest
from browsing import OPTIONS, User, browser_path, missing, served
from PIL import Image, ImageChops, ImageStat

import refhooks as rh
import refhooks_toy

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=f"no page in a browser: {missing()}"),
]


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


def same(one, other):
    """Whether two pictures are the same to the bit."""
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


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


def test_region_and_content_masks_are_painted_on_their_own_pictures(visit, photo, tmp_path):
    """With a feather: the stroke is the mask, and the edit is the one that refhooks makes of it."""
    user = visit()
    page = user.page
    user.source(photo)
    page.click("#references button")
    user.choose("more-sample", "star.png")
    page.wait_for_selector("#reference >> text=2: star.png")
    star = refhooks_toy.SAMPLES / "star.png"
    editor = rh.Editor.from_pretrained("toy")

    def alone(*strategy):
        references = [rh.Reference(star, *strategy)]
        prompt = "add the shape of Picture 2"
        return editor.edit(photo, prompt, references=references, steps=6, seed=1).image

    without = alone(rh.Strategy([rh.Stage("default", 0.0)], vision="always"))
    user.ask("add the shape of Picture 2", steps=6, seed=1)
    for kind, ground in (("region", photo), ("content", star)):
        user.tab("Paint")
        page.wait_for_selector("#painting canvas")
        page.check(f"#mask-kind input[value='{kind.capitalize()} mask']")
        page.wait_for_timeout(2500)
        assert painted_on(page, photo, star) == ground
        page.fill("#feather input[type=number]", "3")
        page.keyboard.press("Tab")
        user.paint([[(0.15, y), (0.85, y)] for y in (0.15, 0.2, 0.25, 0.3)])
        page.click("#use-mask")
        page.wait_for_selector(f"#paint-status >> text={kind} mask is set")
        mask = Image.open(user.download("save-mask")).convert("L")
        mask.save(tmp_path / f"{kind}.png")
        assert mask.getpixel((32, 14)) == 255
        assert mask.getpixel((32, 50)) == mask.getpixel((1, 60)) == 0

        made = user.run(1)

        shape = editor.registry.shape_from(str(tmp_path / f"{kind}.png"))
        limit = rh.Mask(shape, kind=kind, feather=3.0)
        expected = alone(rh.Strategy([rh.Stage("default")], masks=[limit]))
        assert same(made, expected.convert("RGB"))
        inside, outside = changed(made, without, mask.point(lambda it: 255 if it else 0))
        assert inside > 3 * outside, kind
        user.tab("Paint")
        page.click("#remove-mask")
        page.wait_for_selector(f"#paint-status >> text={kind} mask removed")


def painted_on(page, *paths):
    """Which picture lies under the brush: the one whose middle is most like what is seen there."""
    seen = Image.open(io.BytesIO(page.locator("#painting canvas").first.screenshot()))
    side = min(seen.size) // 2
    left, top = (seen.width - side) // 2, (seen.height - side) // 2
    seen = seen.convert("RGB").crop((left, top, left + side, top + side)).resize((8, 8))

    def unlike(path):
        picture = Image.open(path).convert("RGB")
        width, height = picture.size
        middle = picture.crop((width // 4, height // 4, 3 * width // 4, 3 * height // 4))
        return sum(ImageStat.Stat(ImageChops.difference(seen, middle.resize((8, 8)))).mean)

    return min(paths, key=unlike)


def changed(one, other, mask):
    """By how much two pictures differ within a mask, and outside of it."""
    difference = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L")
    parts = (mask, ImageChops.invert(mask))
    return [ImageStat.Stat(difference, part).mean[0] for part in parts]


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


def test_looks_are_made_on_the_page(visit):
    """A grid, the attention, and advice; drift says what it needs."""
    user = visit()
    page = user.page
    user.choose("sample", "meadow.png")
    page.wait_for_selector("#reference >> text=1: meadow.png")
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
def test_the_page_fits_and_is_reached_by_keyboard_and_read(visit, size):
    """No tab is wider than the window, nothing overlaps, text stands out from its ground."""
    user = visit(size)
    page = user.page
    user.choose("sample", "meadow.png")
    page.wait_for_selector("#reference >> text=1: meadow.png")
    for name in ("Edit", "Steer", "Paint", "Look", "File"):
        user.tab(name)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
        assert page.evaluate(OVERLAPS) == [], name
        assert page.evaluate(FAINT) == [], name


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_the_keyboard_reaches_everything(visit, size):
    """On each tab and each look, with a result there; what has the focus is outlined."""
    user = visit(size)
    page = user.page
    user.choose("sample", "meadow.png")
    page.wait_for_selector("#reference >> text=1: meadow.png")
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
    user.choose("sample", "meadow.png")
    page.wait_for_selector("#reference >> text=1: meadow.png")
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


def fits(page, size, name):
    """Nothing is wider than the window, lies on something else, is cut off or faint."""
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], name
    for what in (OVERLAPS, LABELS, CUT, FAINT):
        assert page.evaluate(what) == [], name


def tabbed(page, count):
    """What the key Tab comes to, by number, and what of it shows no focus."""
    reached, unseen = set(), []
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(2 * count + 20):
        page.keyboard.press("Tab")
        number, text, shown = page.evaluate(FOCUSED)
        if number is None:
            continue
        reached |= set(number)
        if not shown and text not in unseen:
            unseen.append(text)
    return reached, unseen


INTERACTIVE = """() => {
  const kinds = 'a[href], button, input, textarea, select, [tabindex]:not([tabindex="-1"]),'
    + '[role=tab], [role=button], [role=slider], [role=combobox]'
  const found = {}
  let number = 0
  document.querySelectorAll('[data-number]').forEach(it => { delete it.dataset.number })
  for (const it of document.querySelectorAll(kinds)) {
    const box = it.getBoundingClientRect()
    if (!it.checkVisibility({visibilityProperty: true}) || box.width < 2 || box.height < 2) continue
    if (it.disabled || it.type == 'file' || it.closest('[aria-hidden=true], [inert]')) continue
    if (it.querySelector('button, input') && it.tabIndex < 0) continue
    it.dataset.number = number
    let part = it
    while (part && !(part.id && /^[a-z]+(-[a-z0-9]+)*$/.test(part.id))) part = part.parentElement
    found[number++] = `${part ? part.id : ''} ${it.tagName} ${it.type || ''} `
      + (it.getAttribute('aria-label') || it.textContent || it.value || '').trim().slice(0, 30)
  }
  return found
}"""
FOCUSED = """() => {
  const it = document.activeElement
  if (!it || it == document.body) return [null, '', true]
  const style = getComputedStyle(it), box = it.getBoundingClientRect()
  const outline = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2
  let group = [it]
  if (it.type == 'radio') {  // the arrow keys go through the others
    group = [...it.closest('fieldset, .block').querySelectorAll('input[type=radio]')]
  }
  const around = group.concat([...it.querySelectorAll('[data-number]')].filter(
    inner => it.tagName == 'A' && inner.tagName == 'BUTTON'))
  if (it.parentElement.tagName == 'A') around.push(it.parentElement)
  const numbers = around.map(one => one.dataset.number).filter(one => one !== undefined)
  return [numbers, it.outerHTML.slice(0, 120), outline && box.width > 2 && box.height > 2]
}"""
LABELS = """() => [...document.querySelectorAll('.block > label.float, .icon-button-wrapper')]
  .filter(it => it.checkVisibility() && !it.closest('#painting'))
  .flatMap(it => [...it.closest('.block').querySelectorAll('img, svg[role=img], .wrap .icon-wrap')]
    .filter(other => other.checkVisibility() && !it.contains(other))
    .map(other => [it, other]))
  .filter(([it, other]) => {
    const a = it.getBoundingClientRect(), b = other.getBoundingClientRect()
    return Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1
  })
  .map(([it, other]) => [it.textContent.trim(), other.outerHTML.slice(0, 80)])"""
CUT = """() => {
  const bad = []
  for (const it of document.querySelectorAll('button, label, span, p, h4, td, th, .cm-line')) {
    if (!it.checkVisibility() || !it.textContent.trim() || it.closest('#painting, [role=img]')) {
      continue
    }
    const box = it.getBoundingClientRect()
    if (box.width < 2 || it.closest('.wide, [style*="overflow-x"]')) continue
    if (box.right > innerWidth + 1 || box.left < -1) bad.push(it.textContent.trim().slice(0, 40))
    const turned = it.classList.contains('label-wrap')  // its triangle, which is turned, counts
    if (it.tagName == 'BUTTON' && !turned && it.scrollWidth > it.clientWidth + 1) {
      bad.push(it.textContent.trim().slice(0, 40))
    }
  }
  return bad
}"""
OVERLAPS = """() => {
  const shown = [...document.querySelectorAll('button, input, textarea')].filter(it => {
    const box = it.getBoundingClientRect(), style = getComputedStyle(it)
    return box.width > 4 && box.height > 4 && style.visibility != 'hidden'
      && style.opacity != '0' && !it.closest('#painting') && it.type != 'file' && it.type != 'range'
      && it.checkVisibility() && !it.querySelector('img') && !it.closest('.icon-button-wrapper')
  })
  const bad = []
  shown.forEach((one, at) => shown.slice(at + 1).forEach(other => {
    if (one.contains(other) || other.contains(one)) return
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect()
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
    if (across > 2 && down > 2) bad.push([one.outerHTML.slice(0, 90), other.outerHTML.slice(0, 90)])
  }))
  return bad
}"""
FAINT = """() => {
  const parts = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number)
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(it => {
      it /= 255
      return it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const ground = it => {
    for (; it; it = it.parentElement) {
      const colour = parts(getComputedStyle(it).backgroundColor)
      if (colour.length == 3 || colour[3] > 0.9) return colour
    }
    return [255, 255, 255]
  }
  const bad = []
  for (const it of document.querySelectorAll('label, span, p, h2, h4, button, input, textarea')) {
    const own = [...it.childNodes].some(node => node.nodeType == 3 && node.textContent.trim())
    if (!(own || it.value) || !it.checkVisibility() || it.disabled) continue
    if (it.closest('#painting') || /radio|checkbox|range/.test(it.type)) continue
    if (!/[\\p{L}\\d]/u.test(it.value || it.textContent)) continue
    const a = light(parts(getComputedStyle(it).color)), b = light(ground(it))
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) bad.push([ratio.toFixed(2), (it.textContent || it.value).trim().slice(0, 40)])
  }
  return bad
}"""


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
