"""Kill a run with signal 9 at random moments, resume it, and compare with an undisturbed run.

    python -m benchmarks.kill_and_resume [--kills 20] [--seed 0] [key=value ...]

Each trial starts the command as a user would, waits until its folder is there, kills the whole process group at a
moment drawn uniformly over what the undisturbed run took from there to its end, resumes with `polymnia resume` (or
starts again, when the folder was not yet a run) and compares `scores.json` (without what a clock measured), with the
hash of the final weights in it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from polymnia.evaluation.scores import repeatable

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "polymnia"]
DEFAULTS = ["method.name=replay", "method.memory=100", "trainer.epochs=30", "trainer.checkpoint_seconds=0.2"]


def start(folder: Path, settings: list[str]) -> subprocess.Popen:
    command = [*COMMAND, "run", str(ROOT / "configs" / "quick.yaml"), *settings, "--out", str(folder)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(folder: Path, process: subprocess.Popen) -> None:
    while not folder.exists() and process.poll() is None:
        time.sleep(0.005)


def scores(folder: Path) -> dict:
    return repeatable(json.loads((folder / "scores.json").read_text()))


def trial(folder: Path, settings: list[str], after: float) -> str:
    """Kill after some seconds, go on, and return where the kill struck."""
    process = start(folder, settings)
    wait_for(folder, process)
    time.sleep(after)
    finished = process.poll() is not None
    if not finished:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not (folder / "settings.json").exists():
        struck = "before the folder was a run"
        assert start(folder, settings).wait() == 0
    else:
        stages = len(list((folder / "stages").glob("[0-9]*"))) if (folder / "stages").is_dir() else 0
        states = sorted(path.name for path in (folder / "state").glob("[0-9]*")) if (folder / "state").is_dir() else []
        struck = (
            "after the end" if finished else f"{stages} stages done, newest state {states[-1] if states else 'none'}"
        )
        subprocess.run([*COMMAND, "resume", str(folder)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return struck


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("settings", nargs="*", help="key=value, on top of configs/quick.yaml")
    given = parser.parse_args()
    settings = [*DEFAULTS, *given.settings]
    moments = random.Random(given.seed)
    equal = 0
    with tempfile.TemporaryDirectory() as box:
        process = start(Path(box) / "whole", settings)
        wait_for(Path(box) / "whole", process)
        began = time.monotonic()
        assert process.wait() == 0
        duration = time.monotonic() - began
        whole = scores(Path(box) / "whole")
        print(f"undisturbed run: {duration:.1f} s after its folder was there, weights {whole['weights_sha256'][:16]}")
        for number in range(given.kills):
            after = moments.uniform(0, duration)
            folder = Path(box) / f"killed-{number}"
            struck = trial(folder, settings, after)
            same = scores(folder) == whole
            equal += same
            print(f"kill {number + 1:2d} at {after:5.1f} s ({struck}): {'equal' if same else 'DIFFERENT'}", flush=True)
    print(f"{equal} of {given.kills} resumed runs have the same scores.json and the same weights' hash")
    return 0 if equal == given.kills else 1


if __name__ == "__main__":
    sys.exit(main())
