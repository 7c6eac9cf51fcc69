"""The page is a strategy file: what it exports is what it opens, and what it runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
from PIL import Image, ImageChops

import refhooks as rh
from refhooks_play._cells import Cells
from refhooks_play._recipes import read_recipe
from refhooks_play._state import Card, State, read_strategy, write_strategy


@pytest.fixture
def folder(files):
    """The folder of a session with pictures in it."""
    return files


TWO = (Cells("inject", 'formula = "blend"', "0.4:1.0", "0.5"), Cells("cross_attn", "", "0.7"))
MASK = {"image": "white.png", "feather": 2.0}
FULL = State(
    cards=(
        Card("photo.png", TWO, {"vision": "never"}),
        Card("coat.png", (Cells("default"),), {"mask": [{"image": "white.png"}]}),
    ),
    plugins=({"plugin": "origin", "center": "floor"},),
    prompt="make it blue",
    steps=3,
    seed=1,
    cfg="2.0",
    denoise=0.5,
    height=32,
    width=32,
    edit_mask=MASK,
)


def same(one, other):
    """Whether two pictures are the same to the bit."""
    return ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() is None


def test_a_strategy_file_comes_back_as_the_same_page(folder):
    """References, stages, masks and plugins; the rest of the page stays as it was."""
    written = write_strategy(FULL, folder)

    assert read_strategy(written, FULL, folder) == FULL
    other = attrs.evolve(FULL, prompt="else", seed=7, cards=())
    opened = read_strategy(written, other, folder)
    assert opened.cards == FULL.cards
    assert (opened.prompt, opened.seed) == ("else", 7)


def test_the_file_is_what_refhooks_reads(folder):
    """Beside its pictures, as a user keeps it."""
    references = rh.load_references(write_strategy(FULL, folder))

    assert [Path(it.image).name for it in references] == ["photo.png", "coat.png"]
    assert references[0].strategy.stages[0].method == rh.method("inject", formula="blend")
    assert references[1].strategy.masks[0].kind == "region"


def test_a_recipe_comes_back_as_the_page_and_the_same_picture(folder, editor, tmp_path):
    """Everything is inside of the picture; to the bit."""
    result = editor.edit(**FULL.arguments(folder))
    place = result.save(tmp_path / "made.png", embed=True)[0]
    fresh = tmp_path / "fresh"
    fresh.mkdir()

    opened = read_recipe(place, fresh)

    assert [card.stages for card in opened.cards] == [card.stages for card in FULL.cards]
    assert opened.edit_mask == MASK
    assert (opened.seed, opened.steps, opened.denoise) == (1, 3, 0.5)
    assert same(editor.edit(**opened.arguments(fresh)).image, result.image)


def test_a_file_for_one_picture_is_for_the_source(folder):
    """Top-level stages, as presets and short files have them."""
    (folder / "short.toml").write_text('vision = "never"\n[[stage]]\nmethod = "inject"\n')

    opened = read_strategy(folder / "short.toml", FULL, folder)

    assert opened.cards[0] == Card("photo.png", (Cells("inject"),), {"vision": "never"})
    assert opened.cards[1] == FULL.cards[1]
    with pytest.raises(rh.StrategyError, match="choose that first"):
        read_strategy(folder / "short.toml", State(), folder)


def test_paths_of_a_stranger_are_names_in_the_session(folder, tmp_path):
    """Nothing of the machine is opened by a file that names it."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    hostile = folder / "hostile.toml"
    for path in (str(secret), "../secret.png", "/etc/passwd"):
        hostile.write_text(f'[[reference]]\nimage = "{path}"\n')
        with pytest.raises(rh.StrategyError, match="is not on the page; open it together"):
            read_strategy(hostile, FULL, folder)
    hostile.write_text(
        f'[[reference]]\nimage = "photo.png"\n[[reference.mask]]\nimage = "{secret}"\n'
        '[[reference.stage]]\nmethod = "default"\n'
    )
    with pytest.raises(
        rh.StrategyError, match=r"reference 1, mask 1: image is 'secret\.png', which"
    ):
        read_strategy(hostile, FULL, folder)
    assert [it.name for it in folder.iterdir() if it.name.startswith(".")] == []


@pytest.mark.parametrize("text", ["", "nonsense", "[[stage]]\n", '[[edit]]\nprompt = "a"\n'])
def test_what_is_no_strategy_file_is_refused_by_its_name(folder, text):
    """Without the name of a file that nobody has seen."""
    bad = folder / "bad.toml"
    bad.write_text(text)

    with pytest.raises(rh.StrategyError) as error:
        read_strategy(bad, FULL, folder)

    assert "bad.toml" in str(error.value)
    assert ".opened" not in str(error.value)
    assert ".page" not in str(error.value)


def test_a_card_that_cannot_be_used_says_so_with_its_own_number(folder):
    """In the words of refhooks; the other cards are made."""
    state = FULL.with_card(1, Card("coat.png", (Cells("default", "", "2.5"),)))

    references, refused = state.lenient(folder)

    assert refused[0] == ""
    assert refused[1].startswith("reference 2, stage 1")
    assert "2.5" in refused[1]
    assert references[0].strategy is not None
    assert references[1].strategy is None
    with pytest.raises(rh.StrategyError, match="reference 2, stage 1"):
        state.references(folder)


def test_several_threads_show_one_page(folder):
    """None reads what another writes, and nothing is left beside the pictures."""
    other = FULL.with_card(0, Card("photo.png", (Cells("cross_attn", "", "0.25"),)))
    before = sorted(folder.iterdir())

    def look(state):
        return [state.references(folder)[0].strategy.stages[0].strength for _ in range(40)]

    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(look, [FULL, other, FULL, other]))

    assert [set(it) for it in seen] == [{"0.4:1.0"}, {0.25}, {"0.4:1.0"}, {0.25}]
    assert sorted(folder.iterdir()) == before


def test_an_empty_page_has_nothing_to_run(folder):
    """Said in a sentence."""
    with pytest.raises(rh.InputError, match="there is no picture yet"):
        State().arguments(folder)


def test_a_mask_of_a_kind_replaces_the_one_before():
    """Others stay."""
    card = Card("a.png", (), {"mask": [{"image": "r.png"}, {"image": "c.png", "kind": "content"}]})

    changed = card.masked("region", {"kind": "region", "image": "new.png"})

    assert [it["image"] for it in changed.rest["mask"]] == ["c.png", "new.png"]
    assert card.masked("region", None).masked("content", None).rest == {}


def test_a_picture_whose_references_are_elsewhere_says_which(folder, editor, tmp_path):
    """Found by its name and pixels where it is on the page."""
    place = editor.edit(**FULL.arguments(folder)).save(tmp_path / "made.png")[0]
    fresh = tmp_path / "fresh"
    fresh.mkdir()

    with pytest.raises(rh.InputError, match=r"reference 1 of this recipe is photo\.png, which"):
        read_recipe(place, fresh)
    assert read_recipe(place, folder).cards[0].image == "photo.png"
