from polymnia.growing.gate import Limits, _held
from polymnia.growing.probed import Probed, probed


def test_a_figure_is_held_to_what_it_was_after_the_stage_before_or_before_any():
    skill = {"text skill": 0.4, "text skill by stage": [0.6, None, 0.4], "before": 0.7, "other": 1.0}
    [later] = probed({"skill": {**skill, "text skill by stage": [0.6, 0.4]}}, frozenset())
    assert (later.before, later.after) == (0.6, 0.4) and round(later.change, 6) == -0.2
    [first] = probed({"skill": {**skill, "text skill by stage": [0.4]}}, frozenset())
    assert (first.before, first.after) == (0.7, 0.4)
    [unmeasured] = probed({"skill": skill}, frozenset())
    assert unmeasured.before is None and unmeasured.change == 0
    assert probed({"skill": {**skill, "text skill by stage": [0.6, None]}, "gap": {"gap": 1.0}}, frozenset()) == ()


def test_a_drop_beyond_the_limit_and_a_broken_promise_are_told():
    skill = Probed(probe="skill", figure="text skill", before=0.6, after=0.55)
    assert _held(skill, Limits()) == ["probe skill: text skill drops by 0.050, and 0.020 is allowed"]
    assert _held(skill, Limits(drop=0.05)) == []
    drawn = {"drawing": {"unchanged": 0.9, "agreement": 0.5, "agreement by stage": [0.5]}}
    assert all(each.figure != "unchanged" for each in probed(drawn, frozenset()))
    [promised] = [each for each in probed(drawn, frozenset({"pictures"})) if each.promised]
    assert _held(promised, Limits()) == ["probe drawing: unchanged is 0.900, and 1 is promised"]
    assert _held(promised, Limits(promises=False)) == []
