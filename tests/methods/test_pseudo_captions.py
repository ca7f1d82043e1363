import torch

from polymnia.data.wording import plain
from polymnia.hosts.causal import Decoding
from polymnia.methods.base import Method
from polymnia.methods.pseudo_captions import described


def test_the_model_describes_each_input_once_from_what_it_sees(speaker, language_stage, moved):
    model = speaker(most=5)
    stage = language_stage(model, 0, "answering", "image", copies=2)
    model.grow(stage)
    moved(model, 1.0)
    batches = Method(model).batches
    made = described(model, stage.train, batches=batches, decoding=Decoding(most=5), seed=0)
    assert made.task == "captioning" and made.inputs == 9 and set(made.questions) == {""}
    assert made.targets[::2] == made.targets[1::2]
    prompt = torch.tensor([model.loaded.tokeniser.prompt("describe the image.")])
    for row in (0, 6, 16):
        one = stage.train.batch(torch.tensor([row]))
        one.columns = {"prompt": prompt}
        assert made.targets[row] == plain(model.answer(one, Decoding(most=5))[0])
    assert made.dropped.get("nothing was written", 0) == sum(not target for target in made.targets[::2])


def test_it_is_written_the_same_however_many_at_once(speaker, language_stage, moved):
    model = speaker(most=5)
    stage = language_stage(model, 0, "answering", "image")
    model.grow(stage)
    moved(model, 1.0)
    method = Method(model)
    whole, small = (
        described(model, stage.train, batches=lambda s, n=n: method.batches(s, n), decoding=Decoding(most=5, beams=2),
                  seed=0)
        for n in (9, 2)
    )  # fmt: skip
    assert whole == small
