"""The method as a whole; the eight faults of the released code that it must not inherit have a test each."""

from dataclasses import replace

import pytest
import torch

from polymnia.methods.moincl import MoInCL
from polymnia.methods.pseudo_targets import pairs_of
from polymnia.randomness import Randomness
from polymnia.training.checkpoint import digest
from polymnia.training.settings import TrainerSettings
from polymnia.training.trainer import Trainer

QUICK = TrainerSettings(epochs=2, batch_size=4, lr=0.01, count_flops=False)


@pytest.fixture
def begun(speaker, language_stage, reader, moved):
    """Return a function: a method that has learned some stages (by name) and stands before the first step of the last.

    Without training: weights are moved instead, so that teacher and student differ where `moves` says so.
    """

    def make(*names, moves=True, **settings):
        reads = names[-1].startswith("captioning")  # only then the host has to ask and answer
        grown = speaker(path=reader if reads else None)
        method = MoInCL(grown, MoInCL.Settings(**settings), randomness=Randomness(0))
        for index, name in enumerate(names):
            stage = language_stage(grown, index, *name.split())
            grown.grow(stage)
            method.clock.stage = index
            method.before_stage(stage)
            if index < len(names) - 1:
                moved(grown, 0.5)
                method.after_stage(stage)
        if moves:
            moved(grown, 0.3)
        return method, stage

    return make


SEEN = ("captioning image", "answering image")
"""The second stage is described by the model of the first."""
NEW = ("answering image", "captioning sound")
"""In the second, questions are made of captions; its modality is new."""


def batch_of(method, stage, rows):
    return method.training_samples(stage).batch(torch.tensor(rows))


def test_the_losses_are_what_the_equations_say(begun):
    from polymnia.losses.token_distillation import over_tokens
    from polymnia.methods.instruction_distillation import instruction_loss

    method, stage = begun(*SEEN, distil=0.7, instruct=2.0, temperature=3.0)
    batch = batch_of(method, stage, [0, 3, 5, 8])
    terms = method.loss(batch)
    assert set(terms) == {"task", "distil", "instruct"}
    pairs = pairs_of(batch, 0.5)
    output, asked = method.model(batch.join(pairs)), method.model(pairs)
    torch.testing.assert_close(terms["task"], torch.nn.functional.cross_entropy(output.logits, output.targets))
    lost = over_tokens(asked.logits, method.teacher.predict(pairs).logits.clone(), temperature=3.0)
    torch.testing.assert_close(terms["distil"], 0.7 * lost, rtol=1e-4, atol=1e-6)
    ids = method.pool.draw(4, Randomness(0).generator("instructions"))
    wanted = 2.0 * instruction_loss(method.model, method.teacher, ids, temperature=3.0)
    torch.testing.assert_close(terms["instruct"], wanted)


# the eight faults ---------------------------------------------------------------------------------------------


def test_fault_1_rows_of_teacher_and_student_are_the_same_tokens_whatever_is_padded(begun):
    """The released slicing takes other rows where the whole batch is padded to another length than the pairs."""
    method, stage = begun(*SEEN, moves=False)
    batch = batch_of(method, stage, [0, 1, 2, 3])
    batch.columns["prompt"] = torch.nn.functional.pad(batch.columns["prompt"], (0, 3), value=4)  # longer than the pairs
    pairs = pairs_of(batch, 0.5)
    joined = batch.join(pairs)
    assert joined.columns["prompt"].shape[1] > pairs.columns["prompt"].shape[1]
    assert float(method.loss(batch)["distil"].detach()) < 1e-8
    from polymnia.losses.token_distillation import over_tokens

    student, teacher = method.model(joined).logits, method.teacher.predict(pairs).logits.clone()
    shifted = student[len(student) - len(teacher) - 1 : -1]  # off by one row, as padding does it there
    assert float(over_tokens(shifted, teacher).detach()) > 1e-3


def test_fault_2_padding_and_what_is_seen_are_in_no_mean(begun):
    """Rows are answers' tokens alone, so a longer prompt of one sample changes no other's share."""
    method, stage = begun(*SEEN)
    pairs = pairs_of(batch_of(method, stage, [0, 1, 2, 3]), 1.0)
    tokens = int((pairs.columns["answer"] >= 0).sum())
    output = method.model(pairs)
    assert len(output.logits) == tokens
    longer = replace(pairs, columns={name: torch.nn.functional.pad(ids, (0, 5), value=-1)
                                     for name, ids in pairs.columns.items()})  # fmt: skip
    lost = [method.distilled(given, method.model(given).logits) for given in (pairs, longer)]
    torch.testing.assert_close(lost[0], lost[1])


def test_fault_3_nothing_is_distilled_where_nothing_is_pseudo(begun):
    method, stage = begun("captioning image", "captioning sound")
    assert not method.pseudo and not method.records
    assert set(method.loss(batch_of(method, stage, [0, 1, 2, 3]))) == {"task", "instruct"}


def test_fault_4_the_first_stage_is_fine_tuning(begun):
    method, stage = begun("captioning image", fuse=0.1)
    before = digest(method.model.state_tree())
    assert set(method.loss(batch_of(method, stage, [0, 1]))) == {"task"}
    method.clock.per_epoch = 1
    method.after_step()
    assert digest(method.model.state_tree()) == before  # there is nothing to fuse with
    assert "instructions" not in method.randomness.state_dict()


def test_fault_5_nothing_is_put_back_unless_it_is_asked_for(begun):
    for settings, same in (({}, True), ({"fuse": 0.5}, False)):
        method, _ = begun("captioning image", "captioning image", **settings)
        before = digest(method.model.state_tree())
        method.clock.per_epoch = 1
        method.after_step()
        assert (digest(method.model.state_tree()) == before) is same


def test_fault_6_a_batch_in_parts_weighs_what_the_whole_does(speaker, language_stage):
    def gradient(parts: int) -> list[torch.Tensor]:
        found: list[torch.Tensor] = []

        class Watched(MoInCL):
            def after_backward(self) -> None:
                found.extend(p.grad.clone() for p in self.model.trainable().values())

        model = speaker()
        stage = language_stage(model, 0, "captioning", "image")
        model.grow(stage)
        settings = replace(QUICK, epochs=1, batch_size=9, accumulate=parts)
        Trainer(Watched(model, MoInCL.Settings(), randomness=Randomness(0)), settings).fit(stage)
        return found

    for whole, parted in zip(gradient(1), gradient(3), strict=True):  # all answers have four tokens
        torch.testing.assert_close(whole, parted, rtol=1e-3, atol=1e-6)


def test_fault_7_a_grid_has_the_shape_it_is_given(speaker, language_stage):
    """Eight by thirty-two patches of a sound stay so: only neighbours are pooled."""
    bridge = speaker(pooling="mean", grid={"sound": (2, 4)})
    stage = language_stage(bridge, 0, "captioning", "sound")
    bridge.grow(stage)
    cells = torch.arange(8.0)[None, :, None].expand(1, 8, 4)
    assert bridge.bridges["sound"].pooled(cells)[0, :, 0].tolist() == [2.5, 4.5]


def test_fault_8_the_teacher_is_frozen(begun):
    method, stage = begun(*SEEN)
    before = digest(method.teacher.state_tree())
    assert not any(p.requires_grad for p in method.teacher.parameters()) and not method.teacher.training
    torch.stack(list(method.loss(batch_of(method, stage, [0, 1, 2, 3])).values())).sum().backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    assert digest(method.teacher.state_tree()) == before and method.teacher.loaded is method.model.loaded


# what else it promises ----------------------------------------------------------------------------------------


def test_a_modality_that_the_teacher_never_saw_is_learned_from_and_not_distilled(begun):
    method, stage = begun(*NEW)
    assert method.records[0]["task"] == "answering" and method.records[0]["kept"] == 9
    assert set(method.loss(batch_of(method, stage, [0, 1, 2, 3]))) == {"task", "instruct"}
    method, stage = begun("captioning sound", *NEW)  # and one that it saw is
    assert set(method.loss(batch_of(method, stage, [0, 1, 2, 3]))) == {"task", "instruct", "distil"}


def test_instructions_may_be_for_new_modalities_alone(begun):
    for names, instructed in ((SEEN, False), (NEW, True)):
        method, stage = begun(*names, when="new")
        assert ("instruct" in method.loss(batch_of(method, stage, [0, 1]))) is instructed


def test_the_host_may_teach_instructions_from_the_first_stage_on(begun):
    for names in (("captioning image",), SEEN):
        method, stage = begun(*names, instructor="host", temperature=2.0)
        terms = method.loss(batch_of(method, stage, [0, 1]))
        ids = method.pool.draw(4, Randomness(0).generator("instructions"))
        with torch.no_grad():
            now = (method.model.continued(ids) / 2).log_softmax(-1)
            with method.model.loaded.carrying({}):
                network = method.model.loaded.network(input_ids=ids.clamp(min=0), attention_mask=(ids >= 0).long())
            host = (network.logits[ids >= 0] / 2).log_softmax(-1)
        expected = 4 * (host.exp() * (host - now)).sum(-1).mean()
        assert terms["instruct"].item() == pytest.approx(float(expected), rel=1e-4) and expected > 1e-3
    method, stage = begun("captioning image", instructor="host", moves=False)
    assert method.loss(batch_of(method, stage, [0, 1]))["instruct"].item() == pytest.approx(0.0, abs=1e-6)


def test_pseudo_targets_are_made_once_and_by_the_model_of_the_stage_before(begun, moved):
    method, stage = begun(*SEEN)
    ids = {name: held.clone() for name, held in method.pseudo.items()}
    moved(method.model, 1.0)
    assert all(torch.equal(method.pseudo[name], held) for name, held in ids.items())
    assert torch.equal(method.training_samples(stage).sequences["pseudo answer"], ids["pseudo answer"])
    texts = [method.model.loaded.tokeniser.text(row) for row in ids["pseudo answer"].tolist()]
    from polymnia.methods.pseudo_captions import described

    made = described(method.teacher, stage.train, batches=method.batches, decoding=method.model.decoding, seed=0)
    assert sum(a.startswith(b) or b.startswith(a) for a, b in zip(texts, made.targets, strict=True)) == 9
    method.after_stage(stage)
    assert not method.pseudo and len(method.records) == 1


def test_wrong_targets_are_put_in_on_purpose_and_recorded_apart(begun):
    clean, _ = begun(*NEW)
    spoilt, _ = begun(*NEW, wrong=0.5)
    assert clean.records[0] | {"wrong": 5} == spoilt.records[0]  # 4.5 of nine; what was made is the same
    changed = (clean.pseudo["pseudo answer"] != spoilt.pseudo["pseudo answer"]).any(1)
    assert int(changed.sum()) == 5 and clean.records[0]["right"] == 9


def test_no_sample_of_an_earlier_stage_is_kept(begun):
    method, stage = begun(*SEEN)
    assert len(method.pseudo["pseudo answer"]) == len(stage.train)
    method.after_stage(stage)
    kept = method.state_dict()
    assert set(kept) == {"teacher", "tasks", "seen", "pseudo", "records"} and kept["pseudo"] == {}
    learned = sum(p.numel() * 4 for p in method.model.parameters())
    assert method.memory_bytes() == learned  # the teacher's bridges and deltas, and no second host


def test_one_part_leaves_the_draws_of_another_alone(begun):
    with_both, _ = begun(*NEW, instruct=1.0)
    alone, _ = begun(*NEW, instruct=0.0)
    assert torch.equal(with_both.pseudo["pseudo answer"], alone.pseudo["pseudo answer"])


def test_settings_of_one_stage(begun):
    method, stage = begun(*SEEN, per_stage=({}, {"pseudo": 0.0, "instruct": 0.0}))
    assert set(method.loss(batch_of(method, stage, [0, 1]))) == {"task"} and not method.pseudo


def test_fusion_is_between_the_stages_weights(begun):
    method, _ = begun("captioning image", "answering sound", fuse=0.25, fuse_every=2)
    old = dict(method.teacher.named_parameters())
    before = {name: p.detach().clone() for name, p in method.model.named_parameters()}
    method.clock.step = 0
    method.after_step()
    assert all(torch.equal(p, before[name]) for name, p in method.model.named_parameters())
    method.clock.step = 1
    method.after_step()
    for name, p in method.model.named_parameters():
        wanted = 0.75 * old[name] + 0.25 * before[name] if name.startswith("deltas.") else before[name]
        assert torch.equal(p, wanted)
