import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polymnia.data.samples import Sample, Samples
from polymnia.data.stage import Card
from polymnia.data.tokens import Tokens
from polymnia.encoders.base import ENCODERS, Encoder
from polymnia.encoders.cache import TOTAL, Cache
from polymnia.encoders.columns import encode_columns
from polymnia.encoders.encoding import encode_stream
from polymnia.errors import DataError, SettingsError
from polymnia.training.build import build_encoders, build_stream


def tokens_of(samples, modality="note"):
    """Return id → tokens of encoded samples."""
    column = samples.values[modality]
    places = zip(samples.ids, column.start.tolist(), column.length.tolist(), strict=True)
    return {str(i): column.flat[s : s + k] for i, s, k in places}


def test_each_value_becomes_its_tokens_in_its_place(stream_of, encoder, expected):
    stream = stream_of(
        ([("a", "one"), ("b", "three"), ("c", None)], [("d", "four")], [("e", "one")]),
        ([("f", "five")], [], [("g", "three")]),
    )
    out = encode_stream(stream, {"note": encoder}, pool=False)
    found = {}
    for stage in out:
        found |= tokens_of(stage.train) | tokens_of(stage.valid) | tokens_of(stage.test)
    assert {i: len(t) for i, t in found.items()} == {"a": 3, "b": 5, "c": 0, "d": 4, "e": 3, "f": 4, "g": 5}
    assert torch.equal(found["a"], expected("one")) and torch.equal(found["g"], expected("three"))
    assert out[0].widths == {"note": 3} and out[1].earlier == (out[0],)
    assert out[0].train.values["note"].flat is out[1].test.values["note"].flat  # one tensor, never copied
    assert sorted(text for batch in encoder.batches for text in batch) == ["five", "four", "one", "three"]
    batch = out[0].train.batch(torch.tensor([2, 0]))
    assert batch.values["note"].shape == (2, 3, 3) and batch.mask("note").tolist() == [[False] * 3, [True] * 3]


def test_pooled_rows_are_means_and_a_missing_value_is_zero(stream_of, encoder, expected):
    stream = stream_of(([("a", "one"), ("b", None)], [], [("c", "seven")]))
    out = encode_stream(stream, {"note": encoder})
    batch = out[0].train.batch(torch.tensor([0, 1]))
    assert torch.equal(batch.values["note"][0, 0], expected("one").float().mean(0))
    assert batch.values["note"][1].abs().sum() == 0 and batch.valid["note"] is None
    assert batch.has("note").tolist() == [True, False]


def test_a_second_run_computes_nothing_and_sees_the_same_numbers(stream_of, encoder):
    stream = stream_of(([("a", "one"), ("b", "two")], [], [("c", "seven")]))
    first = encode_stream(stream, {"note": encoder})
    second = encode_stream(stream, {"note": encoder})
    assert TOTAL.computed["letters"] == 3 and len(encoder.batches) == 1
    for split in ("train", "test"):
        rows = torch.arange(len(getattr(first[0], split)))
        one, two = (getattr(run[0], split).batch(rows).values["note"] for run in (first, second))
        assert torch.equal(one, two)


def test_progress_counts_what_is_computed(stream_of, encoder):
    said = []
    stream = stream_of(([(str(n), f"text {n}") for n in range(10)], [], []))
    encode_stream(stream, {"note": encoder}, progress=lambda *figures: said.append(figures))
    assert said == [("note", 4, 10), ("note", 8, 10), ("note", 10, 10)]


def test_files_are_known_by_content_not_by_name(stream_of, encoder, tmp_path):
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("same")
    stream = stream_of(([("a", tmp_path / "one.txt"), ("b", tmp_path / "two.txt")], [], []))
    encode_stream(stream, {"note": encoder})
    assert encoder.batches == [["same"]]


words = st.lists(st.sampled_from(["ant", "bee", "cat", "dog", "eel", "", "no!", "oh!"]), min_size=1, max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(words, words)
def test_exactly_the_broken_are_set_aside(stream_of, encoder, expected, tmp_path, first, second):
    values = {str(n): text for n, text in enumerate([*first, *second])}
    lines = list(values.items())
    stream = stream_of((lines[: len(first)], [], lines[len(first) :]))
    broken = {i for i, text in values.items() if text in ("", "no!", "oh!")}
    if all(i in broken for i, _ in lines[: len(first)]):
        with pytest.raises(DataError, match="nothing is left to learn from"):
            encode_stream(stream, {"note": encoder}, pool=False, max_rejected=1.0)
        return
    out = encode_stream(stream, {"note": encoder}, pool=False, max_rejected=1.0)
    found = tokens_of(out[0].train) | tokens_of(out[0].test)
    assert set(found) == set(values) - broken == set(out[0].train.ids) | set(out[0].test.ids)
    assert all(torch.equal(found[i], expected(values[i])) for i in found)
    assert {r.id for r in out.rejected} == broken and len(out.rejected) == len(broken)
    for r in out.rejected:
        assert r.value == values[r.id] and r.modality == "note"
        assert r.reason == (f"cannot say {r.value!r}" if r.value else "is empty")


def test_a_sample_that_is_seen_in_several_stages_counts_once(stream_of, encoder):
    seen = [("a", "no!"), ("b", "bee"), ("c", "cat")]
    stream = stream_of((seen, [], []), (seen, [], []), (seen, [], []))
    out = encode_stream(stream, {"note": encoder}, max_rejected=0.34)
    assert [len(stage.train) for stage in out] == [2, 2, 2] and len(out.rejected) == 1
    with pytest.raises(DataError, match=r"1 of 3 samples are broken, more than the allowed share \(30%"):
        encode_stream(stream, {"note": encoder}, max_rejected=0.3)


def test_an_unreadable_file_is_set_aside_with_its_name(stream_of, encoder, tmp_path):
    stream = stream_of(([("a", tmp_path / "none.txt"), ("b", "bee")], [], []))
    out = encode_stream(stream, {"note": encoder}, max_rejected=0.5)
    assert out.rejected[0].id == "a" and "none.txt" in out.rejected[0].reason


def test_an_error_of_the_program_surfaces(stream_of, encoder):
    encoder.encode = lambda values: 1 // 0
    with pytest.raises(ZeroDivisionError):
        encode_stream(stream_of(([("a", "one")], [], [])), {"note": encoder})


@pytest.mark.parametrize("wrong", [torch.full((1, 3), torch.nan), torch.full((1, 3), 1e6), torch.zeros(0, 3)])
def test_tokens_that_cannot_be_kept_set_their_sample_aside(stream_of, encoder, wrong):
    encode = encoder.encode
    encoder.encode = lambda values: [wrong if value == "odd" else encode([value])[0] for value in values]
    stream = stream_of(([("a", "odd"), ("b", "bee")], [], []))
    out = encode_stream(stream, {"note": encoder}, max_rejected=0.5)
    assert [r.id for r in out.rejected] == ["a"] and "encoder 'letters' made" in out.rejected[0].reason


def test_encoders_must_fit_the_stream(stream_of, encoder):
    stream = stream_of(([("a", "one")], [], []))
    with pytest.raises(SettingsError, match="no encoder for note"):
        encode_stream(stream, {})
    with pytest.raises(SettingsError, match="sound: not in the stream"):
        encode_stream(stream, {"note": encoder, "sound": encoder})
    pictures = stream_of(([("a", np.zeros((4, 4)))], [], []), kind="image")
    with pytest.raises(SettingsError, match=r"encoders\.note: 'letters' reads text, and 'note' of 's' is image"):
        encode_stream(pictures, {"note": encoder})


def test_a_modality_without_a_kind_is_refused(stream_of, encoder):
    train = Samples.of([Sample("c", {"note": "a", "smell": "rose"})])
    with pytest.raises(DataError, match="has values of smell, and does not say which kind"):
        encode_stream(stream_of((train, [], [])), {"note": encoder})


def test_a_modality_whose_values_are_all_missing_has_the_encoders_width(stream_of, encoder):
    out = encode_stream(stream_of(([("a", None), ("b", None)], [], [])), {"note": encoder})
    assert out[0].widths == {"note": 3} and not encoder.batches


@pytest.mark.bundled("efficientnet-lite0", "minilm", "openwakeword")
def test_the_bundled_encoders_side_by_side(stream_of):
    picture, sound = np.full((9, 9, 3), 90, np.uint8), np.sin(np.arange(16_000) / 9).astype(np.float32) / 2
    made = [Sample("a", {"image": picture, "text": "rain", "audio": sound}), Sample("b", {"text": "snow"})]
    train = Samples.of(made)
    none = train.subset(torch.zeros(0, dtype=torch.int64))
    stream = replace(stream_of((train, none, none)), kinds={m: m for m in ("image", "text", "audio")})
    out = encode_stream(stream, build_encoders("bundled", stream.kinds))
    assert out[0].widths == {"image": 1280, "text": 384, "audio": 192}
    assert out[0].train.batch(torch.arange(2)).has("image").tolist() == [True, False]
    assert TOTAL.computed == {"efficientnet-lite0": 1, "minilm": 2, "openwakeword": 1}


def test_tokens_that_are_there_already_pass(stream_of, encoder):
    ready = Tokens.dense(torch.arange(6.0).reshape(1, 2, 3))
    samples = Samples(np.array(["a"]), {"note": ready}, {"note": torch.tensor([True])}, torch.tensor([0]))
    out = encode_stream(stream_of((samples, [], [])), {"note": encoder}, pool=False)
    assert out[0].train.values["note"] is ready and not encoder.batches


# identity -------------------------------------------------------------------------------------------------------------


def dense(values, present=None, start=0):
    n = len(values)
    ids = np.array([f"s{start + i}" for i in range(n)])
    held = torch.ones(n, dtype=torch.bool) if present is None else torch.as_tensor(present)
    return Samples(ids, {"note": values}, {"note": held}, torch.zeros(n, dtype=torch.int64))


def identity():
    return {"note": ENCODERS.get("identity")()}


def test_ready_features_pass_exactly_and_leave_nothing_on_disk(stream_of, home):
    values = np.random.default_rng(0).normal(size=(5, 4))
    stream = stream_of((dense(values[:3]), dense(values[3:4], start=3), dense(values[4:], start=4)), kind="table")
    out = encode_stream(stream, identity())
    assert torch.equal(out[0].train.batch(torch.arange(3)).values["note"][:, 0], torch.from_numpy(values[:3]).float())
    assert out[0].widths == {"note": 4} and not home.exists()


def test_several_ready_tokens_a_sample_are_pooled_or_kept(stream_of):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    stream = stream_of((dense(values), [], []), kind="table")
    kept = encode_stream(stream, identity(), pool=False)[0].train.batch(torch.arange(2)).values["note"]
    pooled = encode_stream(stream, identity())[0].train.batch(torch.arange(2)).values["note"]
    assert torch.equal(kept, torch.from_numpy(values)) and torch.equal(pooled[:, 0], kept.mean(1))


numbers = st.sampled_from([0.0, 1.5, np.nan, np.inf, 1e300])
rows = st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=2, max_size=9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows, st.data())
def test_rows_with_nan_are_set_aside_and_the_fast_way_is_the_slow_way(stream_of, values, data):
    array = np.array([[1.0, 2.0], *values])
    present = [True, *data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))]
    fast = encode_stream(
        stream_of((dense(array, present), [], []), kind="table"), identity(), pool=False, max_rejected=1.0
    )
    objects = np.empty(len(array), dtype=object)
    objects[:] = list(array)
    slow = encode_stream(
        stream_of((dense(objects, present), [], []), kind="table"), identity(), pool=False, max_rejected=1.0
    )
    with np.errstate(over="ignore"):
        whole = np.isfinite(array.astype(np.float32)).all(1) | ~np.array(present)
    for out in (fast, slow):
        assert list(out[0].train.ids) == [f"s{i}" for i in np.flatnonzero(whole)]
    assert [(r.id, r.reason) for r in fast.rejected] == [(r.id, r.reason) for r in slow.rejected]
    one, two = tokens_of(fast[0].train), tokens_of(slow[0].train)
    assert one.keys() == two.keys() and all(torch.equal(one[i], two[i]) for i in one)


def test_ready_features_of_odd_width_are_set_aside(stream_of):
    column = np.empty(4, dtype=object)
    column[:] = [np.ones(3), np.ones(2), np.ones(3), np.ones(3)]
    out = encode_stream(stream_of((dense(column), [], []), kind="table"), identity(), max_rejected=0.25)
    assert [(r.id, r.reason) for r in out.rejected] == [("s1", "has width 2; the others have 3")]


def test_identity_takes_no_text(stream_of):
    with pytest.raises(DataError, match="takes numbers of shape"):
        encode_stream(stream_of(([("a", "text")], [], [])), identity())


def test_ready_features_in_files_are_read(stream_of, tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3)))
    Path(tmp_path / "f.npy").write_bytes(buffer.getvalue())
    out = encode_stream(stream_of(([("a", tmp_path / "f.npy")], [], []), kind="table"), identity(), pool=False)
    assert out[0].train.values["note"].length.tolist() == [2]


def test_digits_are_encoded_in_a_moment():
    stream = build_stream({"name": "digits", "stages": 5}, seed=0)
    encoders = build_encoders("bundled", stream.kinds)
    encode_stream(stream, encoders)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        encode_stream(stream, encoders, cache=Cache())
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.25  # a loop over the values takes many times this; see the docs for measured figures


def test_one_token_a_value_is_found_in_its_place_whatever_was_encoded_first(tmp_path):
    """A store holds values in the order in which they were first asked for; a second run may ask in another."""

    class Means(Encoder):
        """The mean of a picture: one token."""

        name, kind, width, fingerprint = "means", "image", 1, "means"
        card = Card(title="Made in memory", licence="none", citation="none")

        def encode(self, values):
            return [torch.tensor(np.asarray(value)).float().mean().reshape(1, 1) for value in values]

    pictures = np.empty(4, dtype=object)
    pictures[:] = [np.full((2, 2, 3), 10 * i, np.uint8) for i in range(4)]
    for rows in ([0, 1, 2, 3], [2, 0], [3, 3, 1]):
        there, cache = torch.ones(len(rows), dtype=torch.bool), Cache(tmp_path)
        [(tokens, _)] = encode_columns([(pictures[rows], there)], Means(), kind="image", pool=True, cache=cache)
        assert tokens.gather(torch.arange(len(rows)))[0].flatten().tolist() == [10.0 * row for row in rows]
