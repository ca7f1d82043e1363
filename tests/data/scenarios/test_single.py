"""single: everything at once."""


def test_one_stage_holds_all(in_memory, cut_by):
    stream = cut_by(in_memory([0, 1, 2] * 20), "single")
    (stage,) = stream
    assert len(stage.train) + len(stage.valid) + len(stage.test) == 60 and stage.classes == (0, 1, 2)
