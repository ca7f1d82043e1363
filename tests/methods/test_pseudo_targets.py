import pytest
import torch

from polymnia.data.batch import Batch
from polymnia.data.scenarios.tasks import PUBLISHED
from polymnia.data.stage import Outline
from polymnia.methods.pseudo_targets import Made, as_ids, inputs, pairs_of, routed, with_pairs

CAPTION, ASK = "captioning", "answering"


def walked(pairs, **flags) -> list[str | None]:
    """Return what is made in each stage of an order."""
    found, tasks, seen = [], set(), set()
    for index, (task, modality) in enumerate(pair.split() for pair in pairs):
        stage = Outline(index=index, name=str(index), task=task, modalities=(modality,))
        found.append(routed(stage, tasks=tasks, seen=seen, **flags))
        tasks.add(task)
        seen.add(modality)
    return found


def test_both_published_orders():
    assert walked(PUBLISHED["1"]) == [None, None, None, CAPTION, CAPTION, ASK]
    assert walked(PUBLISHED["2"]) == [None, None, CAPTION, CAPTION, ASK, CAPTION]


def test_each_way_can_be_left_out():
    assert walked(PUBLISHED["1"], captions=False) == [None, None, None, None, None, ASK]
    assert walked(PUBLISHED["1"], answers=False) == [None, None, None, CAPTION, CAPTION, None]


def test_a_stage_of_several_modalities_is_described_when_all_were_seen():
    both = Outline(index=1, name="1", task=ASK, modalities=("image", "sound"))
    assert routed(both, tasks={CAPTION}, seen={"image"}) is None
    assert routed(both, tasks={CAPTION}, seen={"image", "sound"}) == CAPTION


@pytest.fixture
def made(speaker, language_stage):
    """A model, a stage that asks, and pseudo captions of the first five of its nine samples."""
    model = speaker()
    stage = language_stage(model, 0, ASK, "image")
    targets = [f"a {colour} dot" for colour in ("red", "blue", "red", "green", "red")] + [""] * 4
    return model, stage, Made(CAPTION, [""] * 9, targets, 9, {"nothing was written": 4})


def test_samples_carry_their_pairs_as_ids(made):
    model, stage, found = made
    samples = with_pairs(stage.train, as_ids(model, stage.train, found, seed=0))
    tokeniser = model.loaded.tokeniser
    ids = samples.sequences["pseudo answer"]
    assert ids[1].tolist() == tokeniser.answer("a blue dot") and (ids[5:] == -1).all()
    assert samples.sequences["pseudo prompt"][0].tolist() == tokeniser.prompt("describe the image.")
    assert torch.equal(samples.sequences["answer"], stage.train.sequences["answer"])


def test_in_training_wordings_where_the_model_is_trained_so(speaker, language_stage):
    from polymnia.methods.pseudo_targets import worded

    model = speaker(templates=True)
    stage = language_stage(model, 0, ASK, "image", copies=3)
    prompts = worded(model, stage.train, CAPTION, [""] * 27, seed=1)
    assert len(set(prompts)) > 5 and prompts == worded(model, stage.train, CAPTION, [""] * 27, seed=1)


def test_the_first_samples_with_a_pair_are_asked_again(made):
    model, stage, found = made
    samples = with_pairs(stage.train, as_ids(model, stage.train, found, seed=0))
    batch = samples.batch(torch.tensor([8, 1, 7, 0, 3, 6]))
    pairs = pairs_of(batch, 0.5)
    assert len(pairs) == 3  # half of six, and so many have one
    assert pairs.columns["answer"].tolist() == [model.loaded.tokeniser.answer(found.targets[row]) for row in (1, 0, 3)]
    assert torch.equal(pairs.values["image"], batch.values["image"][[1, 3, 4]])
    assert set(batch.join(pairs).columns) == {"prompt", "answer"}
    assert len(pairs_of(batch, 0.2)) == 1 and len(pairs_of(batch, 1.0)) == 3 and len(pairs_of(batch, 0.0)) == 0
    assert len(pairs_of(stage.train.batch(torch.arange(4)), 0.5)) == 0  # nothing was made


def test_a_batch_of_one_has_a_pair():
    ids = torch.tensor([[5, 6]])
    batch = Batch({}, torch.tensor([-1]), columns={"pseudo prompt": ids, "pseudo answer": ids})
    assert len(pairs_of(batch, 0.5)) == 1


def test_an_image_that_is_asked_about_three_times_is_one_input(speaker, language_stage):
    samples = language_stage(speaker(), 0, ASK, "image", copies=3).train
    rows, of = inputs(samples)
    assert rows == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert of == [row // 3 for row in range(27)]
