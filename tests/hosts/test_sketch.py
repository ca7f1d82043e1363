"""The host that reads and draws: what it is taught, what is kept out, and that it learns it, at a small size."""

import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.stage import Outline
from polymnia.hosts.picture_encoder import PictureEncoder
from polymnia.hosts.pictures import to_pixels
from polymnia.hosts.sketch import Sketch, batches, seen
from polymnia.hosts.sketch_lessons import lessons, texts
from polymnia.hosts.sketch_pictures import colourful, shifted, trained_pictures
from polymnia.hosts.texts import padded
from polymnia.hosts.tokeniser import Tokeniser
from polymnia.hosts.unified import as_codes
from polymnia.hosts.words import word_tokeniser
from polymnia.models.unified_model import UnifiedModel

pytestmark = pytest.mark.bundled("sketch")
SMALL = {"layers": 1, "width": 32, "heads": 2, "steps": 60, "batch": 16, "side": 8, "codes": 16, "picture_steps": 40,
         "shifts": 2}  # fmt: skip


@pytest.fixture(scope="module")
def taught():
    return lessons(most=40)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a host of a small size, and what it loads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POLYMNIA_HOME", str(tmp_path_factory.mktemp("home")))
        host = Sketch(Sketch.Settings(**SMALL, pictures=40))
        yield host, host.load()


def test_lessons_are_drawn_named_and_asked_about(taught):
    assert len(taught.pictures) == len(taught.draw) == len(taught.say) == 80
    assert taught.draw[0][1].startswith("draw a ") and taught.draw[-1][1].startswith("draw the digit ")
    row, prompt, said = taught.say[0]
    assert (row, prompt) == (0, "describe the image.") and taught.draw[0][1] == f"draw {said}."
    assert {answer for _, question, answer in taught.ask if "even or odd" in question} == {"even", "odd"}
    assert {row for row, _, _ in taught.ask} <= set(range(80))


def test_what_sources_test_is_not_taught(taught):
    from polymnia.data.sources.digit_questions import DigitQuestions

    held = DigitQuestions(DigitQuestions.Settings(task="generation")).load().samples
    tested = [at for at, split in enumerate(held.columns["split"].tolist()) if split != "train"]
    shown = {picture.tobytes() for picture in taught.pictures[40:]}
    assert tested and not shown & {held.values["image"][at].tobytes() for at in tested}


def test_every_word_of_the_sources_is_known(small):
    _, loaded = small
    unknown = loaded.tokeniser.held.unk_token_id
    assert not any(unknown in loaded.tokeniser.ids(text) for text in texts())


def test_sequences_are_those_of_the_family(small, taught):
    _, loaded = small
    model = UnifiedModel(UnifiedModel.Settings(delta=None))
    model.host = loaded
    model.grow(Outline(index=0, name="one", task="answering", modalities=("image",), widths={"image": 2}))
    encoded = torch.stack(loaded.look(taught.pictures))
    settings = Sketch.Settings(**{**SMALL, "steps": 1, "batch": 64})
    words = len(loaded.tokeniser.held)
    ids, wanted = next(iter(batches(settings, loaded.tokeniser, taught, as_codes(encoded)[None], words=words)))
    asked = {(row, prompt): answer for row, prompt, answer in (*taught.say, *taught.ask)}
    found = {tuple(i for i in row if i >= 0) for row in ids.tolist()}
    checked = 0
    for (row, prompt), answer in asked.items():
        tokeniser = loaded.tokeniser
        columns = {"prompt": padded([tokeniser.prompt(prompt)]), "answer": padded([tokeniser.answer(answer)])}
        read = model.sequence(Batch({"image": encoded[row : row + 1]}, torch.tensor([-1]), columns=columns))
        for held in found:
            if len(held) == read.embedded.shape[1]:
                checked += torch.equal(loaded.embed(torch.tensor([held])), read.embedded)
    assert checked > 5
    drawn = ((ids >= words + 2) & wanted).any(1)
    assert 0.3 < float(drawn.float().mean()) < 0.7
    assert wanted[drawn].sum(1).tolist() == [loaded.length] * int(drawn.sum())


def test_it_learns_to_draw_what_it_is_taught(small, taught):
    host, loaded = small
    model = UnifiedModel(UnifiedModel.Settings(delta=None))
    model.host = loaded
    model.grow(Outline(index=0, name="one", task="generation", modalities=("image",), widths={"image": 2}))
    encoded = torch.stack(loaded.look(taught.pictures))
    prompts = padded([loaded.tokeniser.prompt(prompt) for _, prompt in taught.draw])
    columns = {"prompt": prompts, "draws": torch.ones(len(prompts), 1, dtype=torch.long)}
    given = Batch({"image": encoded}, torch.full((len(prompts),), -1), columns=columns)
    loss = float(model.task_loss(model.predict(given)))
    counts = as_codes(encoded).flatten().bincount().float()
    shares = counts[counts > 0] / counts.sum()
    assert loss < 0.95 * float(-(shares * shares.log()).sum()), "better than how often each code is there"
    pictures = loaded.pixels(model.draw(given, random=torch.Generator().manual_seed(0)))
    assert pictures.shape == (80, 8, 8, 3)
    assert PictureEncoder(host, loaded).fingerprint != PictureEncoder(Sketch(), loaded).name


def test_pictures_come_back(taught):
    settings = Sketch.Settings(**{**SMALL, "codes": 64, "side": 16, "picture_steps": 90})
    pixels = to_pixels(taught.pictures, 16)
    tokeniser = trained_pictures(pixels, settings)
    with torch.inference_mode():
        codes = tokeniser.encode(pixels)
        off = (tokeniser.decode(codes) - pixels).square().mean()
    assert codes.shape == (80, 16) and int(codes.max()) < 64
    assert float(off) < 0.3 * float(pixels.var())
    assert torch.equal(codes, trained_pictures(pixels, settings).encode(pixels)), "the same settings, the same codes"


def test_colour_counts_more():
    pixels = torch.tensor([[-1.0, -1.0, -1.0], [1.0, -1.0, 0.0]]).T.reshape(1, 3, 1, 2)
    assert colourful(pixels).flatten().tolist() == [1.0, 9.0]


def test_pictures_are_moved_and_their_edge_is_drawn_out():
    picture = torch.arange(9.0).reshape(1, 1, 3, 3).expand(200, 1, 3, 3)
    found = {tuple(each.flatten().tolist()) for each in shifted(picture, seed=0, most=1)}
    assert len(found) == 9 and tuple(range(9)) in found, "by -1, 0 or 1, down and across"
    assert (0, 0, 1, 0, 0, 1, 3, 3, 4) in found, "down and to the right by one"
    assert torch.equal(shifted(picture, seed=3), shifted(picture, seed=3))


def test_a_picture_is_seen_as_it_is_and_moved(taught):
    settings = Sketch.Settings(**{**SMALL, "shifts": 3})
    pixels = to_pixels(taught.pictures, 8)
    tokeniser = trained_pictures(pixels, settings)
    codes = seen(tokeniser, pixels, settings)
    assert codes.shape == (3, 80, 4)
    assert torch.equal(codes[0], tokeniser.encode(pixels)) and not torch.equal(codes[1], codes[2])


def test_words_are_kept_in_small_letters():
    tokeniser = Tokeniser(word_tokeniser(["Draw a red circle."]))
    assert tokeniser.text(tokeniser.ids("draw A RED circle .")) == "draw a red circle."
