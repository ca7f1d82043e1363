"""Running a page: a folder with small data of one's own, and what is typed there."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import types
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch
from urllib.request import Request, urlopen

import numpy as np
import soundfile
from PIL import Image
from tests.docs.blocks import Block, Command, commands

ROOT = Path(__file__).parents[2]
SHADES = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 200)}
PITCH = {"red": 300, "green": 900, "blue": 2400}


def lay_out(folder: Path) -> Path:
    """Write what a reader has before the first command: photographs, sounds, manifests, the repository's configs."""
    random = np.random.default_rng(0)
    for label, shade in SHADES.items():
        for n in range(14):
            pixels = np.clip(np.array(shade) + random.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            path = folder / "photos" / f"{label}-{n}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
            tone = 0.3 * np.sin(2 * np.pi * (PITCH[label] + n) * np.arange(16_000) / 16_000)
            soundfile.write(folder / "photos" / f"{label}-{n}.wav", tone, 16_000)
    shutil.copytree(folder / "photos", folder / "animals" / "cat", ignore=lambda at, names: [
        name for name in names if not name.startswith("red")])  # fmt: skip
    shutil.copytree(folder / "photos", folder / "animals" / "dog", ignore=lambda at, names: [
        name for name in names if not name.startswith("blue")])  # fmt: skip
    shutil.copy(folder / "photos/red-13.png", folder / "new.png")
    Image.open(folder / "photos/red-13.png").save(folder / "new.jpg")
    shutil.copy(folder / "photos/red-13.wav", folder / "new.wav")
    (folder / "photos-of-yours").mkdir()
    _manifest(folder / "photos.csv", ("red", "green"))
    _manifest(folder / "autumn.csv", ("blue",))
    _manifest(folder / "held-out.csv", ("red", "green"), split="test")
    _manifest(folder / "data.csv", ("red", "green"))
    _manifest(folder / "with-sound.csv", ("red", "green"), audio=True)
    rows = [{"torque": random.normal(3 * (n % 2), 1, 4).tolist(), "label": "ab"[n % 2]} for n in range(30)]
    (folder / "readings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "configs").symlink_to(ROOT / "configs")
    return folder


def _manifest(path: Path, labels: tuple[str, ...], *, split: str = "", audio: bool = False) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "text", "label", *(["audio"] if audio else []), *(["split"] if split else [])])
        for label in labels:
            for n in range(14):
                row = [f"photos/{label}-{n}.png", f"a thing in {label}, number {n}", label]
                writer.writerow(row + ([f"photos/{label}-{n}.wav"] if audio else []) + ([split] if split else []))


class Reader:
    """Someone who does what a page says, in one folder, from its first block on."""

    def __init__(self, folder: Path, command) -> None:
        self.folder, self.command = lay_out(folder), command
        self.module = types.ModuleType(f"page_of_{folder.name.replace('-', '_')}")
        sys.modules[self.module.__name__] = self.module
        self.service: subprocess.Popen | None = None
        self.port = 0

    def does(self, block: Block) -> str:
        """Do what a block says and return what was printed."""
        if block.language == "python":
            return self._python(block)
        return "".join(self._typed(each, block) for each in commands(block.code))

    def _python(self, block: Block) -> str:
        with chdir(self.folder), redirect_stdout(StringIO()) as printed:
            exec(compile(block.code, block.where, "exec"), vars(self.module))
        return printed.getvalue()

    def _typed(self, typed: Command, block: Block) -> str:
        program, *given = typed.words
        words = [name for word in given for name in self._meant(word)]
        if typed.words[:2] == ("polymnia", "serve"):
            self.serve(words)
            return ""
        if program == "curl":
            return self._asked(words, block)
        assert program == "polymnia", f"{block.where}: {program} is not run; say why above it: <!-- not run: … -->"
        with patch.dict(os.environ, dict(typed.environment)):
            done = self.command(*words, cwd=self.folder)
        said = f"{block.where}: polymnia {' '.join(words)}\n{done.stdout}{done.stderr}"
        assert done.returncode == typed.code, said
        return done.stdout

    def _meant(self, word: str) -> list[str]:
        """Return the files that a pattern means, as a shell does, or the word itself."""
        found = sorted(self.folder.glob(word)) if "*" in word and "=" not in word else []
        return [path.relative_to(self.folder).as_posix() for path in found] or [word]

    def serve(self, words: list[str]) -> None:
        """Serve as it is typed, on a free port, and wait until it answers."""
        self.stop()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        line = [sys.executable, "-m", "polymnia", *words, "--port", str(self.port)]
        with (self.folder / "served.txt").open("w") as told:
            self.service = subprocess.Popen(line, cwd=self.folder, stdout=told, stderr=told)
        for _ in range(600):
            assert self.service.poll() is None, (self.folder / "served.txt").read_text()
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "served.txt").read_text())

    def _asked(self, words: list[str], block: Block) -> str:
        assert self.service is not None, f"{block.where}: nothing is served yet"
        given = [word.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}") for word in words]
        done = subprocess.run(["curl", "--fail-with-body", *given], cwd=self.folder, capture_output=True, timeout=60)
        assert done.returncode == 0, f"{block.where}: {' '.join(given)}\n{done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode()

    def says(self, text: str) -> dict:
        """Return what the service says of a text."""
        body = json.dumps({"text": text}).encode()
        asked = Request(f"http://127.0.0.1:{self.port}/predict", body, {"content-type": "application/json"})
        with urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        """End what is served."""
        if self.service is not None:
            self.service.terminate()
            self.service.wait(timeout=20)
            self.service = None

    def leave(self) -> None:
        """End what is served, and forget what the page's Python made."""
        self.stop()
        sys.modules.pop(self.module.__name__, None)
