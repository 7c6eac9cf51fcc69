"""Masks by brush in a real browser: each on its own picture, and the edit that comes of it."""

from __future__ import annotations

import io

import pytest
from browsing import missing, same
from PIL import Image, ImageChops, ImageStat

import refhooks as rh
import refhooks_toy

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(missing()), reason=f"no page in a browser: {missing()}"),
]


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
