"""``save(metadata="keep")``: what the source's file says beside its pixels goes on."""

from __future__ import annotations

import warnings

import pytest
import tiny
from PIL import Image, ImageOps, PngImagePlugin
from results import same

import refhooks as rh

ENDINGS = ["png", "jpg", "webp"]
PACKET = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about='
    b'"" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b' tiff:Orientation="6"><dc:creator>Ada</dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)
TEXTS = {"parameters": "steps: 20, señor", "Title": "日本", "Software": "other"}


def exif_of(turn=6):
    """A photo's, lying on its side."""
    exif = Image.Exif()
    exif[0x010E] = "a harbour"
    exif[0x0112] = turn
    exif[0x0100], exif[0x0101] = 4000, 3000
    exif.get_ifd(0x8769).update({0xA002: 4000, 0xA003: 3000, 0x9003: "2026:11:29 01:00:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    return exif


def photo(ending):
    """Write a source that says much."""
    options = {"exif": exif_of()}
    if ending == "png":
        info = PngImagePlugin.PngInfo()
        for key, text in TEXTS.items():
            info.add_itxt(key, text, zip=key == "Title")
        info.add_itxt("XML:com.adobe.xmp", PACKET.decode())
        options["pnginfo"] = info
    else:
        options["xmp"] = PACKET
    if ending == "jpg":
        options["comment"] = b"by the sea"
    tiny.picture(1, (32, 24)).save(f"source.{ending}", **options)
    return f"source.{ending}"


def saved(editor, source, target, **options):
    """Edit, save with what the source says, and return the result, its path and the warnings."""
    result = editor.edit(source, "make it blue", steps=2, seed=1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        [path] = result.save(target, **{"metadata": "keep", **options})
    return result, path, [str(one.message) for one in told]


def packet_of(opened):
    """The XMP of a picture."""
    packet = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
    return packet.encode() if isinstance(packet, str) else packet


@pytest.mark.parametrize("recipe", [True, False], ids=["with its recipe", "without"])
@pytest.mark.parametrize("target", ENDINGS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_exif_and_xmp_go_from_every_format_to_every_other(editor, folder, ending, target, recipe):
    """Upright, at the new size, beside the recipe, which is read and replays."""
    source = photo(ending)
    result, path, told = saved(editor, source, f"out.{target}", recipe=recipe)

    with Image.open(path) as opened:
        opened.load()
        exif, packet = opened.getexif(), packet_of(opened)
        assert (exif[0x010E], exif[0x0112]) == ("a harbour", 1)
        assert (exif[0x0100], exif[0x0101]) == opened.size
        inner = exif.get_ifd(0x8769)
        assert (inner[0xA002], inner[0xA003]) == opened.size
        assert inner[0x9003] == "2026:11:29 01:00:00"
        assert exif.get_ifd(0x8825)[1] == "N"
        assert b"<dc:creator>Ada</dc:creator>" in packet
        assert b'tiff:Orientation="1"' in packet
        assert ImageOps.exif_transpose(opened).size == opened.size == result.image.size
    if recipe:
        assert result.recipe == rh.load_recipe(path)
        assert same(result, editor.replay(path))
        assert rh.strip_recipe(path)
        with Image.open(path) as opened:
            assert packet_of(opened).count(b"Ada") == 1
            assert b"refhooks" not in packet_of(opened)
            assert opened.getexif()[0x010E] == "a harbour"
    with pytest.raises(rh.InputError, match="carries no recipe"):
        rh.load_recipe(path)
    lost = {"png": "the text parameters, Title, Software", "jpg": "the comment"}
    expected = target != ending and (ending, target) in {
        ("png", "jpg"), ("png", "webp"), ("jpg", "webp")
    }  # fmt: skip
    assert [lost[ending] in line for line in told] == ([True] if expected else [])


def test_text_goes_from_png_to_png(editor, folder):
    """Every chunk, whatever it was written as, also those behind the pixels."""
    _, path, told = saved(editor, photo("png"), "out.png")

    with Image.open(path) as opened:
        opened.load()
        assert {key: opened.text[key] for key in TEXTS} == TEXTS
    assert told == []


def test_a_comment_goes_from_jpeg(editor, folder):
    """To a JPEG as one, to a PNG as the text that its specification names so."""
    _, path, _ = saved(editor, photo("jpg"), "out.jpg")
    with Image.open(path) as opened:
        assert opened.info["comment"] == b"by the sea"
    _, path, _ = saved(editor, photo("jpg"), "out.png")
    with Image.open(path) as opened:
        assert opened.text["Comment"] == "by the sea"


@pytest.mark.parametrize("target", ENDINGS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_by_default_nothing_goes_on(editor, folder, ending, target):
    """Such as where a photo was taken."""
    _, path, _ = saved(editor, photo(ending), f"out.{target}", metadata="drop", recipe=False)

    data = path.read_bytes()
    for word in (b"harbour", b"Ada", b"parameters", b"by the sea"):
        assert word not in data


def test_a_recipe_of_the_source_is_not_the_new_picture_s(editor, folder):
    """The source was made here as well; its other text goes on."""
    for ending in ENDINGS:
        first, path, _ = saved(editor, photo(ending), f"first.{ending}")
        second, again, _ = saved(editor, path, f"second.{ending}")
        assert second.recipe == rh.load_recipe(again) != first.recipe


def test_a_picture_in_memory_keeps_what_pillow_read(editor, folder):
    """Opened by the caller."""
    with Image.open(photo("png")) as opened:
        opened.load()
        _, path, _ = saved(editor, opened, "out.png")

    with Image.open(path) as written:
        assert written.text["parameters"] == TEXTS["parameters"]
        assert written.getexif()[0x010E] == "a harbour"


def test_a_chain_keeps_what_its_first_picture_said(editor, folder):
    """In every file of it."""
    chain = editor.chain(photo("jpg"), [rh.Edit("a"), rh.Edit("b")], steps=2, seed=1)

    paths = chain.save("out.jpg", metadata="keep")

    for path in paths:
        with Image.open(path) as opened:
            assert opened.getexif()[0x010E] == "a harbour"


def test_several_pictures_and_a_replay_keep_it(editor, folder):
    """Each file of a batch; and what is made from the recipe, whose source is found."""
    result = editor.edit(photo("jpg"), "make it blue", steps=2, seed=1, n=2)
    paths = [*result.save("out.jpg", metadata="keep")]
    paths += editor.replay(paths[0]).save("again.jpg", metadata="keep")

    for path in paths:
        with Image.open(path) as opened:
            assert opened.getexif()[0x010E] == "a harbour"


def test_what_cannot_be_kept_is_one_error(editor, folder):
    """No source, one that is gone or has changed, and another word; nothing is written."""
    result = editor.edit("photo.png", "make it blue", steps=2, seed=1)
    alone = editor.edit(None, "a house", height=32, width=32, steps=2, seed=4)
    with pytest.raises(rh.InputError, match="no source whose metadata could be kept"):
        alone.save("out.png", metadata="keep")
    with pytest.raises(rh.InputError, match="metadata must be 'drop' or 'keep', got 'all'"):
        result.save("out.png", metadata="all")
    tiny.picture(9, (32, 24)).save("photo.png")
    with pytest.raises(rh.InputError, match="has changed since the edit"):
        result.save("out.png", metadata="keep")
    (folder / "photo.png").unlink()
    with pytest.raises(rh.InputError, match="there is no picture"):
        result.save("out.png", metadata="keep")
    assert not (folder / "out.png").exists()


def test_what_a_jpeg_cannot_hold_is_left_out_with_a_warning(editor, folder):
    """EXIF beyond a segment; and the recipe beside an XMP that fills one goes beside the file."""
    exif = exif_of()
    exif[0x010E] = "x" * 70_000
    tiny.picture(1, (32, 24)).save("source.png", exif=exif)
    _, path, told = saved(editor, "source.png", "out.jpg")
    assert any("EXIF of more than 64 KiB" in line for line in told)
    long = PACKET.replace(b"Ada", b"Ada" * 21_400)
    tiny.picture(1, (32, 24)).save("source.webp", xmp=long, lossless=True)

    result, path, told = saved(editor, "source.webp", "long.jpg")

    assert any("does not fit into" in line for line in told)
    with Image.open(path) as opened:
        assert b"AdaAda" in packet_of(opened)
    assert result.recipe == rh.load_recipe(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_damaged_exif_is_left_out_with_a_warning(editor, folder):
    """The picture is not lost for it."""
    tiny.picture(1, (32, 24)).save("source.jpg", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xffabc")

    _, path, _ = saved(editor, "source.jpg", "out.jpg")

    assert rh.load_recipe(path).seed == 1
