import pytest
import torch

from polymnia.errors import SettingsError
from polymnia.losses.alignment import ALIGNMENTS
from polymnia.losses.distillation import kl
from polymnia.losses.relations import distance, divergence
from polymnia.methods.cross_modality_adapters import CrossModalityAdapters
from polymnia.models.classifier import Classifier

Settings = CrossModalityAdapters.Settings


@pytest.fixture
def second_stage(adapted, token_batch, token_stage, two_classes_more, moved):
    """Return a function that makes a method in its second stage, whose model has moved on from its teacher."""

    def make(by: float = 0.1, **settings) -> CrossModalityAdapters:
        method = CrossModalityAdapters(adapted(adapter=None, views=True), Settings(memory=6, **settings))
        method.after_stage(token_stage(token_batch(0, 1, 0, 1, 0, 0, 0, seed=3)))
        method.clock.stage = 1
        method.model.grow(two_classes_more(1))
        if by:
            moved(method.model, by)
        method.model.eval()
        return method

    return make


def test_the_first_stage_has_no_teacher_and_nothing_to_rehearse(adapted, token_batch):
    method = CrossModalityAdapters(adapted(adapter=None, views=True))
    batch = token_batch(0, 1, 1)
    terms = method.loss(batch)
    assert terms.keys() == {"task", "align"}
    torch.testing.assert_close(terms["task"], method.task_loss(method.model(batch)))


def test_the_sum_of_four_losses_by_its_equations(second_stage, token_batch):
    weights = {"distill": 3.0, "align": 0.7, "relate": 0.3}
    method = second_stage(draw=2, **weights)
    batch = token_batch(2, 3, 2)
    method.randomness.generator("memory").manual_seed(4)
    joined = method.joined(batch)
    method.randomness.generator("memory").manual_seed(4)
    terms = method.loss(batch)
    student, teacher = method.model(joined), method.teacher(joined)
    assert len(joined) == 5
    assert teacher.logits.shape == (5, 2)
    assert student.logits.shape == (5, 4)
    torch.testing.assert_close(terms["task"], method.task_loss(student))
    lost = kl(student.logits[:, :2], teacher.logits, temperature=2.0).mean()
    torch.testing.assert_close(terms["distill"], 3.0 * 2**0.5 * lost)
    aligned = ALIGNMENTS["views"](student.views, student.representations["joint"], joined.targets)
    torch.testing.assert_close(terms["align"], 0.7 * aligned)
    related = [divergence(student.views[m], teacher.views[m]) for m in ("a", "b")]
    torch.testing.assert_close(terms["relate"], 0.3 * torch.stack(related).mean())


def test_distillation_rises_by_the_root_of_the_stage(second_stage, token_batch):
    """The same student, teacher and batch in stage 1 and in stage 2: the total rises by λ (√2 − 1) L_ld."""
    method, batch = second_stage(distill=3.0, draw=6), token_batch(2, 3, 2)
    student, teacher = method.model(batch), method.teacher(batch)
    constant = kl(student.logits[:, :2], teacher.logits).mean()
    method.memory.size = 0
    totals = []
    for stage in (0, 1):
        method.clock.stage = stage
        totals.append(sum(method.loss(batch).values()))
    torch.testing.assert_close(totals[1] - totals[0], 3.0 * (2**0.5 - 1) * constant, rtol=1e-4, atol=1e-5)
    method.settings = Settings(memory=6, distill=3.0, root=False)
    torch.testing.assert_close(sum(method.loss(batch).values()), totals[0])


def test_a_model_that_has_not_moved_loses_nothing_and_nothing_pulls(second_stage, token_batch):
    method = second_stage(by=0.0)
    terms = method.loss(token_batch(2, 3, 2))
    for name in ("distill", "relate"):
        assert abs(float(terms[name].detach())) < 1e-6
        gradients = torch.autograd.grad(terms[name], method.model.trainable().values(), allow_unused=True,
                                        retain_graph=True)  # fmt: skip
        assert all(g is None or g.abs().max() < 1e-5 for g in gradients)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("relations", ["similarity", "joint", "distance"])
def test_forms_by_name(second_stage, token_batch, alignment, relations):
    method = second_stage(alignment=alignment, relations=relations)
    method.memory.size = 0
    batch = token_batch(2, 3, 2)
    terms, student, teacher = method.loss(batch), method.model(batch), method.teacher(batch)
    wanted = ALIGNMENTS[alignment](student.views, student.representations["joint"], batch.targets)
    torch.testing.assert_close(terms["align"], 0.5 * wanted)
    new, old = ((o.representations["joint"],) * 2 for o in (student, teacher))
    if relations == "joint":
        related = divergence(new, old, itself=False)
    else:
        form = divergence if relations == "similarity" else distance
        related = torch.stack([form(student.views[m], teacher.views[m]) for m in ("a", "b")]).mean()
    torch.testing.assert_close(terms["relate"], related)


def test_samples_without_a_modality_count_for_the_others(second_stage, token_batch):
    method = second_stage()
    method.memory.size = 0
    batch = token_batch(2, 3, 2, 3, lacking=(1, 3))
    student, teacher, has = method.model(batch), method.teacher(batch), batch.has("b")
    terms = method.loss(batch)
    parts = [divergence(student.views["a"], teacher.views["a"]),
             divergence(student.views["b"], teacher.views["b"], counts=has)]  # fmt: skip
    torch.testing.assert_close(terms["relate"], torch.stack(parts).mean())
    alone = method.loss(batch.only(["a"]))
    torch.testing.assert_close(alone["relate"], parts[0] * 0 + alone["relate"])
    assert all(term.isfinite() for term in alone.values())
    nowhere = token_batch(2, 3, lacking=(0, 1))
    torch.testing.assert_close(method.loss(nowhere)["relate"], method.loss(nowhere.only(["a"]))["relate"])


def test_one_forward_serves_batch_and_memory_and_the_teacher_is_asked_only_when_needed(second_stage, token_batch):
    for settings, asked in (({}, [6]), ({"distill": 0.0}, [6]), ({"distill": 0.0, "relate": 0.0}, [])):
        method, calls, lessons = second_stage(**settings), [], []
        method.model.register_forward_hook(lambda model, args, output, calls=calls: calls.append(len(args[0])))
        if method.teacher is not None:
            method.teacher.register_forward_hook(lambda m, args, output, calls=lessons: calls.append(len(args[0])))
        method.loss(token_batch(2, 3, 2))
        assert calls == [6]
        assert lessons == asked
        assert (method.teacher is None) == (not asked)


def test_the_memory_is_balanced_and_holds_only_stages_that_have_ended(second_stage, token_batch, token_stage):
    method = second_stage()
    assert sorted(method.memory.all().targets.tolist()) == [0, 0, 0, 0, 1, 1]  # seven were offered, two of class 1
    batch = token_batch(2, 3, 2, 3, 3, 3, 3)
    method.loss(batch)
    assert method.memory.seen == 7
    method.after_stage(token_stage(batch, 1))
    counts = method.memory.all().targets.bincount()
    assert counts.max() - counts.min() <= 1


def test_without_a_memory_only_the_teacher_remembers(adapted, token_batch, token_stage, two_classes_more, moved):
    method = CrossModalityAdapters(adapted(adapter=None, views=True), Settings(memory=0))
    method.after_stage(token_stage(token_batch(0, 1)))
    method.model.grow(two_classes_more(1))
    moved(method.model)
    terms = method.loss(token_batch(2, 3))
    assert terms.keys() == {"task", "align", "distill", "relate"}
    assert len(method.memory) == 0


def test_settings_that_cannot_be_are_named():
    model = Classifier()
    with pytest.raises(SettingsError, match=r"'classifier' has no views. Take model=adapted with model.views=true, or "
                       "set method.align=0 and method.relate=0"):  # fmt: skip
        CrossModalityAdapters(model)
    with pytest.raises(SettingsError, match=r"method.align: .* set method.align=0$"):
        CrossModalityAdapters(model, Settings(relations="joint"))
    CrossModalityAdapters(model, Settings(align=0.0, relations="joint"))
    with pytest.raises(
        SettingsError, match=r"method.alignment: no such form of alignment: 'view'. Did you mean 'views'"
    ):
        Settings(alignment="view")
    with pytest.raises(SettingsError, match=r"method.relations: no such form of relations: 'similar'. Did you mean"):
        Settings(relations="similar")


def test_it_keeps_the_first_stage_where_fine_tuning_loses_it(digits, learned, fine_tuned):
    method, kept = learned("cross-modality-adapters", digits, memory=100, align=0.0, relate=0.0)
    assert kept[0] > 0.6 + fine_tuned[0]
    assert kept[-1] > 0.8
    assert method.usage == [[], [], []]  # a classifier has no experts
