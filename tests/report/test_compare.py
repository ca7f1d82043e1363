import json
import math
import re

import pytest

from polymnia.errors import SettingsError, StateError
from polymnia.evaluation.metrics import intransigence
from polymnia.evaluation.scores import read_scores
from polymnia.evaluation.statistics import holm, mean_interval, paired
from polymnia.report.compare import compare, write_comparison

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def finetune(make_run):
    return [make_run("finetune", seed=seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def joint(make_run):
    return [make_run("joint", seed=seed) for seed in SEEDS]


def figure(folders, name):
    return [getattr(read_scores(folder), name) for folder in folders]


def by_label(comparison):
    return {each.group.label: each for each in comparison.groups}


def test_runs_that_differ_in_their_seed_are_one_group_with_an_interval(finetune):
    (only,) = compare(finetune).groups
    assert only.group.label == "finetune"
    assert only.group.seeds == SEEDS
    for name in ("final_average", "forgetting", "learning_accuracy", "average_incremental"):
        mean, half_width = mean_interval(figure(finetune, name))
        assert (only.figures[name].mean, only.figures[name].half_width) == (mean, half_width)
    cost = [sum(c.train_seconds + c.evaluate_seconds for c in read_scores(folder).cost) for folder in finetune]
    assert only.figures["seconds"].mean == pytest.approx(sum(cost) / 3)


def test_groups_are_paired_by_seed_with_the_baseline(finetune, joint):
    comparison = compare([*joint, *reversed(finetune)])
    assert [each.baseline for each in comparison.groups] == ["finetune", None]
    assert [d.figure for d in comparison.differences] == [
        "final_average",
        "average_incremental",
        "forgetting",
        "learning_accuracy",
    ]
    for d in comparison.differences:
        expected = paired(figure(joint, d.figure), figure(finetune, d.figure))
        assert (d.label, d.baseline, d.n) == ("joint", "finetune", 3)
        assert (d.difference, d.half_width, d.p) == expected
    assert comparison.differences[0].difference > 0.3


def test_another_baseline_turns_the_signs(finetune, joint):
    usual = compare([*finetune, *joint]).differences
    turned = compare([*finetune, *joint], baseline="joint").differences
    assert [d.difference for d in turned] == pytest.approx([-d.difference for d in usual])
    assert {d.baseline for d in turned} == {"joint"}


def test_an_unknown_baseline_names_the_nearest(finetune, joint):
    with pytest.raises(SettingsError, match=r"'finetun'\. Did you mean 'finetune'"):
        compare([*finetune, *joint], baseline="finetun")


def test_p_is_adjusted_for_the_number_of_groups_in_each_figure(finetune, joint, make_run):
    slow = [make_run("finetune", seed=seed, trainer={"lr": 0.0003}) for seed in SEEDS]
    comparison = compare([*finetune, *joint, *slow], baseline="joint")
    for name in ("final_average", "forgetting"):
        family = [d for d in comparison.differences if d.figure == name]
        assert len(family) == 2
        assert [d.p_adjusted for d in family] == holm([d.p for d in family])


def test_labels_name_what_differs_and_no_more(finetune, make_run):
    slow = make_run("finetune", trainer={"lr": 0.0003})
    weak = make_run({"name": "ewc", "strength": 1.0})
    strong = make_run({"name": "ewc", "strength": 10.0})
    assert list(by_label(compare([finetune[0], slow]))) == ["finetune trainer.lr=0.003", "finetune trainer.lr=0.0003"]
    assert list(by_label(compare([finetune[0], weak, strong]))) == ["finetune", "ewc strength=1.0", "ewc strength=10.0"]


def test_settings_that_change_no_score_part_no_group(finetune, make_run):
    logged = make_run("finetune", seed=3, trainer={"log_steps": 9})
    (only,) = compare([*finetune, logged]).groups
    assert only.group.seeds == (*SEEDS, 3)


def test_one_seed_has_no_interval_and_no_test_and_says_so(finetune, joint, tmp_path):
    comparison = compare([finetune[0], joint[0]])
    assert all(s.half_width is None and s.n == 1 for each in comparison.groups for s in each.figures.values())
    assert all(d.half_width is None and d.p is None and d.p_adjusted is None for d in comparison.differences)
    assert "±" not in comparison.text().split("\n", 1)[1]
    assert "n = 1" in comparison.text()
    assert "No interval for finetune, joint: n = 1" in write_comparison(comparison, tmp_path).read_text()


def test_intransigence_is_measured_against_joint_with_the_same_seed(finetune, joint):
    groups = by_label(compare([*finetune, *joint[:2]]))
    expected = [
        intransigence(read_scores(a).matrix, read_scores(b).matrix)
        for a, b in zip(finetune[:2], joint[:2], strict=True)
    ]
    assert groups["finetune"].figures["intransigence"].values == pytest.approx(expected)
    assert "intransigence" not in groups["joint"].figures
    assert "intransigence" not in by_label(compare(finetune))["finetune"].figures


def test_what_is_not_matched_is_warned_of_with_names_and_numbers(finetune, joint):
    memory, line = compare([*finetune, *joint]).warnings
    assert memory.startswith("memory of the method not matched within 5 %: finetune 0 B, joint ")
    steps = {name: [sum(c.steps for c in read_scores(f).cost) for f in folders] for name, folders in
             (("finetune", finetune), ("joint", joint))}  # fmt: skip
    assert line.startswith("optimiser steps not matched within 5 %: ")
    assert f"finetune {round(sum(steps['finetune']) / 3)}" in line
    assert f"joint {round(sum(steps['joint']) / 3)}" in line


@pytest.mark.parametrize(("factor", "warned"), [(1.04, False), (1.06, True)])
@pytest.mark.parametrize(
    ("cost", "name"),
    [("trainable_parameters", "trainable parameters"), ("memory_bytes", "memory"), ("steps", "optimiser steps")],
)
def test_five_per_cent_is_the_limit(make_run, copied, changed, factor, warned, cost, name):
    one, other = copied(make_run(), name="one"), copied(make_run(), name="other")

    def scaled(by):
        def change(content):
            for stage in content["cost"]:
                stage[cost] = round(1000 * by)

        return change

    changed(one / "scores.json", scaled(1))
    changed(other / "scores.json", scaled(factor))
    changed(other / "scores.json", lambda content: content["config"]["method"].update(name="other"))
    assert any(line.startswith(name) for line in compare([one, other]).warnings) == warned


def test_groups_on_different_streams_are_not_paired(finetune, make_run):
    elsewhere = make_run("joint", stream={"stages": 2})
    comparison = compare([*finetune, elsewhere])
    assert comparison.differences == ()
    assert any("streams or metrics differ" in line and "3 stages" in line for line in comparison.warnings)


def test_the_stage_given_at_test_time_is_another_metric(finetune, make_run):
    told = make_run("joint", evaluation={"task_identity": True})
    comparison = compare([finetune[0], told])
    assert comparison.differences == ()
    assert any("differ" in line for line in comparison.warnings)


def test_the_same_settings_over_other_data_are_not_paired(finetune, joint, copied, changed):
    strange = copied(joint[0])
    changed(strange / "stream.json", lambda content: content["stages"][0].update(train=1))
    comparison = compare([*finetune, strange, *joint[1:]])
    assert {d.n for d in comparison.differences} == {2}
    assert any("met different stages with seed 0" in line for line in comparison.warnings)


def test_encoders_of_another_width_do_not_make_another_stream(finetune, joint, copied, changed):
    wider = copied(joint[0])
    changed(wider / "stream.json", lambda content: content["stages"][0].update(widths={"pixels": 9}))
    assert {d.n for d in compare([finetune[0], wider]).differences} == {1}


def test_no_seed_in_common(finetune, joint):
    comparison = compare([finetune[0], joint[1]])
    assert comparison.differences == ()
    assert any("have no seed in common" in line for line in comparison.warnings)


def test_a_stream_with_a_seed_of_its_own_is_paired_by_both_seeds(make_run):
    runs = [make_run(m, seed=s, stream={"seed": 7}) for m in ("finetune", "joint") for s in (0, 1)]
    comparison = compare(runs)
    assert [each.group.label for each in comparison.groups] == ["finetune", "joint"]
    assert {d.n for d in comparison.differences} == {2}


def test_a_run_under_way_and_a_run_done_twice_are_left_out_by_name(finetune, copied, changed):
    half, twin = copied(finetune[1], name="half"), copied(finetune[0], name="twin")

    def first_only(content):
        content["stages"], content["matrix"], content["cost"] = (content[k][:1] for k in ("stages", "matrix", "cost"))

    changed(half / "scores.json", first_only)
    comparison = compare([finetune[0], half, twin, finetune[0]])
    assert comparison.groups[0].group.seeds == (0,)
    assert "half is left out: 1 of 3 stages" in comparison.warnings[0]
    assert "twin is left out" in comparison.warnings[1]
    with pytest.raises(StateError, match=r"no finished run.*polymnia resume half"):
        compare([half])


def test_a_folder_that_is_no_run_is_named(finetune, tmp_path):
    with pytest.raises(StateError, match="is not a run"):
        compare([*finetune, tmp_path])


def test_json_has_no_nan_and_says_it_all(finetune, joint):
    told = json.loads(json.dumps(compare([*finetune, joint[0]]).to_json(), allow_nan=False))
    assert [(g["label"], g["n"], g["seeds"]) for g in told["groups"]] == [("finetune", 3, [0, 1, 2]), ("joint", 1, [0])]
    assert told["groups"][1]["figures"]["forgetting"]["half_width"] is None
    assert told["differences"][0]["p"] is None
    assert told["groups"][0]["runs"] == [folder.name for folder in finetune]


def test_a_figure_that_no_run_has_is_left_out(make_run, copied, changed):
    folder = copied(make_run())
    changed(folder / "scores.json", lambda content: content.update(forgetting=None))
    comparison = compare([folder])
    assert "forgetting" not in comparison.groups[0].figures
    assert not any(math.isnan(s.mean) for s in comparison.groups[0].figures.values())
    assert re.search(r"finetune +1 .* – ", comparison.text())


def test_text_has_aligned_columns(finetune, joint):
    text = compare([*finetune, *joint]).text()
    table = text.split("\n\n")[0].splitlines()[1:]
    assert len({len(line) for line in table}) == 1
    assert table[1].startswith("finetune  3  ")
    assert "warning: optimiser steps" in text


def test_the_page_is_self_contained_and_links_to_the_runs(finetune, joint, make_run, tmp_path):
    from polymnia.report.page import write_report

    write_report(finetune[0])
    folders = [*finetune, *joint]
    path = write_comparison(compare(folders), tmp_path / "pages" / "all.html")
    assert path == tmp_path / "pages" / "all.html"
    page = path.read_text()
    links = re.findall(r'<a href="([^#"]+)"', page)
    assert [(path.parent / link).resolve() for link in links] == [(finetune[0] / "report.html").resolve()]
    assert not re.search(r"<script|<img|<link|@import|url\((?!#)", page)
    assert page == write_comparison(compare(folders), tmp_path / "pages" / "all.html").read_text()
    assert page.count("<figure>") == page.count("<figcaption>") == 3
    assert "Before you compare" in page


def test_only_what_the_test_bears_out_is_in_colour(finetune, joint, tmp_path):
    page = write_comparison(compare([*finetune, *joint]), tmp_path).read_text()
    cells = re.findall(r'<td( class="best")?>([^<]*)<span class="small">n = 3, p [^<]*Holm (?:&lt;|<)? ?([\d.]+)', page)
    assert len(cells) == 4
    assert all(bool(marked) == (float(p) < 0.05) for marked, _, p in cells)


def test_a_folder_gets_a_page_of_the_usual_name(finetune, tmp_path):
    assert write_comparison(compare(finetune), tmp_path / "new") == tmp_path / "new" / "comparison.html"
