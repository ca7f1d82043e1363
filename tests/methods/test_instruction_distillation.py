import pytest
import torch

from polymnia.data.stage import Outline
from polymnia.errors import SettingsError
from polymnia.hosts.instructions import instructions as general
from polymnia.losses.distillation import kl
from polymnia.methods.instruction_distillation import Instructions, instruction_loss, instructions


@pytest.fixture
def pair(speaker, moved):
    """A student that has moved on, its teacher, and the ids of three texts of different lengths."""
    student = speaker()
    student.grow(Outline(index=0, name="0", task="captioning", modalities=("image",), widths={"image": 3}))
    teacher = student.frozen_copy()
    moved(student, 0.5)
    pool = Instructions(student, ["what colour is the star ?", "a dot", "describe"])
    return student, teacher, pool.ids


def test_the_mean_over_all_tokens_and_no_padding(pair):
    student, teacher, ids = pair
    alone = [(student.continued(row[None]), teacher.continued(row[None])) for row in (ids[0], ids[1, :3], ids[2, :2])]
    wanted = torch.cat([kl(now, old, temperature=5.0) for now, old in alone])
    assert len(wanted) == int((ids >= 0).sum()) == 7 + 3 + 2
    torch.testing.assert_close(instruction_loss(student, teacher, ids), wanted.mean(), rtol=1e-4, atol=1e-7)
    longer = torch.nn.functional.pad(ids, (0, 6), value=-1)
    torch.testing.assert_close(instruction_loss(student, teacher, longer), wanted.mean(), rtol=1e-4, atol=1e-7)


def test_a_student_like_its_teacher_loses_nothing(pair):
    _, teacher, ids = pair
    assert float(instruction_loss(teacher, teacher, ids)) == 0.0


def test_the_gradient_reaches_deltas_and_never_a_bridge(pair):
    student, teacher, ids = pair
    instruction_loss(student, teacher, ids).backward()
    assert all(p.grad is None for p in student.bridges.parameters())
    assert all(bool(p.grad.any()) for p in student.deltas.parameters())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert all(p.grad is None for p in student.loaded.network.parameters())


def test_with_a_large_weight_texts_that_are_not_in_the_pool_stay_as_they_were(speaker, language_stage):
    """A task is learned with the instructions and without; how far other texts then are from the teacher's."""

    def moved_by(weight: float) -> float:
        student = speaker()
        stage = language_stage(student, 0, "captioning", "image")
        student.grow(stage)
        teacher, batch = student.frozen_copy(), stage.train.batch(torch.arange(9))
        words = [word for word in student.loaded.tokeniser.held.get_vocab() if word[0] != "<"]
        texts = [" ".join(words[(at * 7 + k * k) % len(words)] for k in range(6)) for at in range(40)]
        pool, others = Instructions(student, texts[:30]), Instructions(student, texts[30:]).ids
        optimiser = torch.optim.Adam(student.deltas.parameters(), lr=0.01)
        random = torch.Generator().manual_seed(0)
        for _ in range(40):
            optimiser.zero_grad()
            lost = instruction_loss(student, teacher, pool.draw(4, random))
            (student.task_loss(student(batch)) + weight * lost).backward()
            optimiser.step()
        return float(instruction_loss(student, teacher, others).detach())

    assert moved_by(300.0) < 0.1 * moved_by(0.0)


def test_draws_are_from_the_given_generator(pair):
    student, _, _ = pair
    pool = Instructions(student, general())
    first, again, other = (pool.draw(4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other) and len(first) == 4
    assert (first >= 0).any(0).all()  # no column that is padding alone


def test_a_file_of_instructions_one_a_line(speaker, tmp_path):
    (tmp_path / "pool.txt").write_text("what is it ?\n\n  a red dot  \n")
    assert instructions(speaker(), str(tmp_path / "pool.txt")) == ["what is it ?", "a red dot"]
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(SettingsError, match=r"empty\.txt is empty; one instruction a line"):
        instructions(speaker(), str(tmp_path / "empty.txt"))
    with pytest.raises(SettingsError, match=r"method\.instructions_file: .* cannot be read"):
        instructions(speaker(), str(tmp_path / "none.txt"))


def test_a_host_without_instructions_gets_general_ones(speaker):
    assert instructions(speaker()) == general() and len(set(general())) == len(general()) > 100
