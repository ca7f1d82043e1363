"""Measure speed and costs against their goals, and write the figures down.

    python -m benchmarks [--rounds 5] [--only throughput|costs]

Results go to `benchmarks/results/`, and the tables in `benchmarks/README.md` are made from them.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import costs, throughput

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["throughput", "costs"])
    given = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if given.only != "costs":
        write("throughput", throughput.measure(rounds=given.rounds))
    if given.only != "throughput":
        write("costs", costs.measure())
    for name in ("throughput", "costs"):
        if (RESULTS / f"{name}.json").exists():
            print("\n".join(table(name)), "\n")
    readme()
    return 0


def write(name: str, found: dict[str, Any]) -> None:
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def table(name: str) -> list[str]:
    """Return a Markdown table of saved results."""
    rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    if name == "costs":
        head = ["| what | measured | goal | met |", "| --- | ---: | ---: | --- |"]
        return head + [f"| {r['what']} | {shown(r['value'])} | {r['goal']} | {verdict(r['met'])} |" for r in rows]
    head = ["| method | ratio | spread | ours, samples/CPU s | plain | goal | met |",
            "| --- | ---: | --- | ---: | ---: | ---: | --- |"]  # fmt: skip
    return head + [
        f"| `{r['method']}` | {r['ratio']:.2f} | {r['spread'][0]:.2f} to {r['spread'][1]:.2f} | "
        f"{r['samples_per_cpu_second']:,} | {r['plain_samples_per_cpu_second']:,} | {r['goal']} | {verdict(r['met'])} |"
        for r in rows
    ]


def shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g}"


def verdict(met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "not measured"}[met]


def readme() -> None:
    """Write the tables between the marks of the README."""
    path = HERE / "README.md"
    text = path.read_text()
    for name in ("throughput", "costs"):
        if (RESULTS / f"{name}.json").exists():
            before, rest = text.split(f"<!-- {name} -->\n", 1)
            _, after = rest.split(f"<!-- end of {name} -->", 1)
            text = before + f"<!-- {name} -->\n" + "\n".join(table(name)) + f"\n<!-- end of {name} -->" + after
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
