"""Real encoded clips, small ones, that the tests of published sets lay out as these sets are handed out."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def write_clip():
    """Return a function that writes a film of some grey with a tone: ``write_clip(path, grey=90, hertz=440)``.

    MPEG-4 and AAC in an MP4, MPEG-4 and MP3 in an AVI, by the path's ending; `hertz=None` leaves the sound out.
    """
    import av

    def make(path, *, grey=90, hertz: float | None = 440.0, seconds=0.5, rate=16_000):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            pictures = container.add_stream("mpeg4", rate=8)
            pictures.width, pictures.height, pictures.pix_fmt = 32, 16, "yuv420p"
            sound = container.add_stream("aac" if path.suffix == ".mp4" else "mp3", rate=rate) if hertz else None
            if sound is not None:
                sound.layout = "mono"
            for i in range(round(8 * seconds)):
                frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), grey, np.uint8), format="rgb24")
                frame.pts = i
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
            if sound is not None:
                wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
                frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
                frame.sample_rate = rate
                container.mux(sound.encode(frame))
                container.mux(sound.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def write_sound():
    """Return a function that writes a tone as WAV: ``write_sound(path, hertz=440)``."""
    import soundfile

    def make(path, *, hertz=440.0, seconds=0.5, rate=16_000):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)
        return path

    return make


@pytest.fixture(scope="session")
def write_json():
    """Return a function that writes a JSON file: ``write_json(path, value)``."""
    import json

    def make(path, value):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return make


@pytest.fixture(scope="session")
def write_picture():
    """Return a function that writes a small picture of one grey: ``write_picture(path, grey=90)``."""
    from PIL import Image

    def make(path, *, grey=90):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (grey, grey, grey)).save(path)
        return path

    return make


@pytest.fixture(scope="session")
def write_set(write_json, write_picture, write_sound, write_clip):
    """Return a function that writes a published set of language tasks in its layout: ``write_set("flickr30k", root)``.

    Each has three items to train, one to validate (but `okvqa`) and two to test by, with real media of a few bytes.
    """

    def flickr30k(root):
        sides = ("train", "train", "train", "val", "test", "test")
        for n in range(len(sides)):
            write_picture(root / "flickr30k-images" / f"{n}.jpg", grey=20 * n)
        images = [
            {"filename": f"{n}.jpg", "imgid": n, "split": side, "sentids": [5 * n + k for k in range(5)],
             "sentences": [{"raw": f"A Dog, number {n}; seen ({k}).", "tokens": ["a", "dog"]} for k in range(5)]}
            for n, side in enumerate(sides)
        ]  # fmt: skip
        write_json(root / "dataset_flickr30k.json", {"dataset": "flickr30k", "images": images})

    def okvqa(root):
        for side, numbers in (("train2014", (51606, 81721, 7)), ("val2014", (8, 9))):
            asked = [{"image_id": n, "question": f"What is {n}  called?", "question_id": 10 * n + 5} for n in numbers]
            given = [
                {"image_id": n, "question_id": 10 * n + 5, "question_type": "one", "confidence": 3,
                 "answers": [{"answer_id": k + 1, "raw_answer": "Pony tails", "answer_confidence": "yes",
                              "answer": "braid" if k < 4 else "pony tail"} for k in range(10)]}
                for n in numbers
            ]  # fmt: skip
            write_json(root / f"OpenEnded_mscoco_{side}_questions.json", {"questions": asked, "data_subtype": side})
            write_json(root / f"mscoco_{side}_annotations.json", {"annotations": given})
            for n in numbers:
                write_picture(root / side / f"COCO_{side}_{n:012d}.jpg", grey=n % 250)

    def msr_vtt(root):
        for name, numbers in (("train_val", (0, 1, 2, 6513)), ("test", (7010, 7011))):
            split = {6513: "validate"} if name == "train_val" else dict.fromkeys(numbers, "test")
            videos = [{"video_id": f"video{n}", "split": split.get(n, "train"), "category": 9} for n in numbers]
            said = [
                {"caption": f"a man {verb} {n}", "video_id": f"video{n}", "sen_id": 20 * n + k}
                for n in numbers
                for k, verb in enumerate(["is cooking", "cooks", "cooks", "is at", "sees", "has", "gives"])
            ]
            write_json(root / f"{name}_videodatainfo.json", {"videos": videos, "sentences": said})
            for n in numbers:
                folder = "TestVideo" if name == "test" else "TrainValVideo"
                write_clip(root / folder / f"video{n}.mp4", grey=n % 250, hertz=None)

    def msvd_qa(root):
        sides = {"train": (1, 1, 2), "val": (3,), "test": (4, 5)}
        for side, videos in sides.items():
            asked = [
                {"id": 100 * v + k, "video_id": v, "question": f"what is a {v} doing?", "answer": "Chew"}
                for k, v in enumerate(videos)
            ]
            write_json(root / f"{side}_qa.json", asked)
            for v in set(videos):
                write_clip(root / "video" / f"-4wsu_{v}_5.avi", grey=40 * v, hertz=None)
        (root / "youtube_mapping.txt").write_text("".join(f"-4wsu_{v}_5 vid{v}\n" for v in range(1, 6)))

    def audiocaps(root):
        sides = {"train": ("r1n-cOVtvkQ", "_a", "b"), "val": ("c",), "test": ("d", "e")}
        for first, (side, videos) in zip((100, 200, 300), sides.items(), strict=True):
            said = [(v, k) for v in videos for k in range(1 if side == "train" else 5)]
            rows = [f'{first + n},{v},30,"A woman talks, {k} times as {v} pours"' for n, (v, k) in enumerate(said)]
            (root / f"{side}.csv").write_text("\n".join(["audiocap_id,youtube_id,start_time,caption", *rows]) + "\n")
            for n, v in enumerate(videos):
                write_sound(root / side / f"{v}_30.wav", hertz=200 + 50 * n)

    def clotho_aqa(root):
        sides = {"train": ("a [1].wav", "b.wav", "c.wav"), "val": ("d.wav",), "test": ("e.wav", "f.wav")}
        for side, sounds in sides.items():
            given = (("Yes", "yes"), ("no", "maybe"), ("yes", "yes"))
            rows = [f"{name},Is it raining?,{answer},{sure}" for name in sounds for answer, sure in given]
            header = "file_name,QuestionText,answer,confidence"
            (root / f"clotho_aqa_{side}.csv").write_text("\n".join([header, *rows]) + "\n")
            for n, name in enumerate(sounds):
                write_sound(root / "audio_files" / name, hertz=200 + 50 * n)

    made = {f.__name__: f for f in (flickr30k, okvqa, msr_vtt, msvd_qa, audiocaps, clotho_aqa)}

    def make(name, root):
        root.mkdir(parents=True, exist_ok=True)
        made[name.replace("-", "_")](root)
        return root

    return make
