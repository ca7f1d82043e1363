"""Results as Markdown, made from the JSON files; nothing is typed by hand."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent / "README.md"
IN_USE = Path(__file__).parent.parent / "docs" / "in-use.md"
BEGIN, END = "<!-- results: made by `python -m benchmarks table` -->", "<!-- end of results -->"


def load(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def save(name: str, found: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def verdict(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: "not measured"}[met]


def throughput(found: dict[str, Any]) -> str:
    """Return the table of ratios, and of the peer's where one was measured."""
    lines = [
        "| method | ours / plain | range over rounds | goal | | samples per CPU second, ours | plain |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in found["rows"]:
        low, high = row["spread"]
        lines.append(
            f"| {row['method']} | {row['ratio']:.2f} | {low:.2f}-{high:.2f} | {row['goal']} | {verdict(row['met'])} "
            f"| {row['samples_per_cpu_second']:,} | {row['plain_samples_per_cpu_second']:,} |"
        )
    for row in found["peer_rows"]:
        low, high = row["spread"]
        lines.append(
            f"| {row['method']} in {found['peer']} | {row['ratio']:.2f} | {low:.2f}-{high:.2f} | | "
            f"| {row['samples_per_cpu_second']:,} | |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines += ["", f"{found['rounds']} rounds, {found['threads']} thread, {found['clock']}; {versions}.",
              f"Included: {found['included']}. Excluded: {found['excluded']}."]  # fmt: skip
    return "\n".join(lines)


def costs(found: dict[str, Any]) -> str:
    """Return the table of costs against their goals."""
    lines = ["| what | measured | goal | | how |", "| --- | ---: | ---: | --- | --- |"]
    for row in found["rows"]:
        value = "-" if row["value"] is None else f"{row['value']:g}"
        lines.append(f"| {row['what']} | {value} | {row['goal']} | {verdict(row['met'])} | {row['how']} |")
    return "\n".join(lines)


def dispatch(found: dict[str, Any]) -> str:
    """Return the table of ways to dispatch tokens to experts, as times over ours."""
    lines = [
        "| width | experts | tokens | ours / best rival | middle half of rounds | goal | | best rival "
        "| looped / ours | dense / ours | gathered / ours | stacked / ours | ours, CPU ms |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        low, high = row["quartiles"]
        others = " | ".join(f"{row['over_ours'].get(way, '-')}" for way in ("looped", "dense", "gathered", "stacked"))
        lines.append(
            f"| {row['width']} | {row['experts']} | {row['tokens']:,} | {row['ratio']:.2f} | {low:.2f}-{high:.2f} "
            f"| {found['goal']} | {verdict(row['met'])} | {row['best_rival']} | {others} | {row['milliseconds']:.2f} |"
        )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines += ["", f"{found['rounds']} rounds, {found['threads']} thread, CPU time of the process; {versions}. "
              f"{found['choices']} experts a token, {found['inside']} wide inside; forward and backward. "
              f"-: not tried, its copies of weights would take more than {found['gathered_mib']} MiB."]  # fmt: skip
    return "\n".join(lines)


def search(found: dict[str, Any]) -> str:
    """Return the table of ways to find the nearest vectors."""
    lines = [
        "| what | recall@10 | median, ms | p95, ms | build, s | MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['what']} | {row['recall']:.3f} | {row['median_ms']:.2f} | {row['p95_ms']:.2f} "
            f"| {row['build_seconds']:,.1f} | {row['bytes'] / 1e6:,.0f} |"
        )
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    goal = found["goal"]
    lines += ["", f"Goal: recall >= {goal['recall']} and median < {goal['median_ms']:g} ms at 1,000,000 vectors: "
              f"{verdict(found['met'] if found['vectors'] >= 1_000_000 else None)}. {found['vectors']:,} made-up "
              f"vectors of {found['width']} numbers (a mixture of {found['clusters']:,} Gaussians in "
              f"{found['intrinsic']} dimensions, and noise in all), {found['queries']} queries (members, "
              f"moved), one at a time, {found['threads']} threads; {versions}. "
              "Ours gives back all columns, the others row numbers."]  # fmt: skip
    return "\n".join(lines)


def language(found: dict[str, Any]) -> str:
    """Return the table of a language model's training and writing, and what its teacher takes."""
    lines = [
        "| host | what | ours / plain | range over rounds | goal | | tokens per CPU second, ours | plain |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in found["rows"]:
        low, high = row["spread"]
        lines.append(
            f"| {row['host']} | {row['what']} | {row['ratio']:.2f} | {low:.2f}-{high:.2f} | {row['goal']} "
            f"| {verdict(row['met'])} | {row['ours_tokens_per_cpu_second']:,} "
            f"| {row['plain_tokens_per_cpu_second']:,} |"
        )
    lines += ["", "| host | teacher, MB | a second model, MB |", "| --- | ---: | ---: |"]
    for row in found["teachers"]:
        lines.append(f"| {row['host']} | {row['own_bytes'] / 1e6:,.1f} | {row['second_model_bytes'] / 1e6:,.1f} |")
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    s = found["settings"]
    lines += ["", f"{found['rounds']} rounds, {found['threads']} thread, {found['clock']}; {versions}. "
              f"{s['rows']} rows of {s['seen']} tokens seen, {s['prompt']} of prompt, {s['answer']} of answer; "
              f"{s['written']} written at most; LoRA of rank {s['rank']}."]  # fmt: skip
    return "\n".join(lines)


def unified(found: dict[str, Any]) -> str:
    """Return the table of decoupled experts' training steps."""
    lines = [
        "| host | against one map of | its rank | decoupled / plain | range over rounds | goal | "
        "| tokens per CPU second, decoupled | plain |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in found["rows"]:
        low, high = row["spread"]
        lines.append(
            f"| {row['host']} | {row['what']} | {row['rank']} | {row['ratio']:.2f} | {low:.2f}-{high:.2f} "
            f"| {row['goal']} | {verdict(row['met'])} | {row['ours_tokens_per_cpu_second']:,} "
            f"| {row['plain_tokens_per_cpu_second']:,} |"
        )
    versions, s = ", ".join(f"{name} {number}" for name, number in found["versions"].items()), found["settings"]
    lines += ["", f"{found['rounds']} rounds, {found['threads']} thread, {found['clock']}; {versions}. "
              f"{s['rows']} rows of a picture, {s['prompt']} tokens of prompt, {s['answer']} of answer; {s['experts']} "
              f"experts of rank {s['rank']}, dropout {s['dropout']} on all sides."]  # fmt: skip
    return "\n".join(lines)


def service(found: dict[str, Any]) -> str:
    """Return the table of the service under load."""
    lines = [
        "| what | beside | requests | failed | a second | p50, ms | p99, ms | longest, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['what']} | {row['beside']} | {row['requests']:,} | {row['failed']} | {row['a_second']:,.1f} "
            f"| {row['p50_ms']:,.1f} | {row['p99_ms']:,.1f} | {row['most_ms']:,.1f} |"
        )
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    s, who = found["settings"], ", ".join(f"{many:,} by {name}" for name, many in found["versions_answered"].items())
    encoders = ", ".join(f"{modality} by {name}" for modality, name in s["encoders"].items())
    cores, load = found["machine"]["cores"], found["machine"]["load_before"]
    lines += ["", f"Goal: 0 of {found['requests']:,} requests failed, and none that began after the acceptance was "
              f"answered by the version before: {verdict(found['met'])}. Answered: {who}; the acceptance took "
              f"{found['accept_seconds']:.1f} s. {s['clients']} clients on loopback, on the {cores} cores "
              f"of the service; other work that ran beside: a load of {load} just before. "
              f"Encoded: {encoders}; {s['origin']}, {s['classes'][0]} and then {s['classes'][1]} more classes; "
              f"{s['index_rows']:,} rows indexed. {versions}."]  # fmt: skip
    return "\n".join(lines)


def hostile(found: dict[str, Any]) -> str:
    """Return the table of damaged files: read, set aside, refused."""
    lines = [
        "| what | files | read | set aside | refused | failed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in [*found["rows"], _sum("all", found["rows"])]:
        counts = " | ".join(f"{row[name]:,}" for name in COUNTS)
        lines.append(f"| {row['what']} | {counts} |")
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    decoder = ", ".join(f"{many:,} {what}" for what, many in found["decoder"]["outcomes"].items())
    lines += ["", f"Goal: none failed: {verdict(found['met'])}. Seed {found['seed']}; originals: {found['origin']}. "
              f"Of each file {found['limits']['bytes'] / 2**30:g} GiB and {found['limits']['seconds']:g} seconds. The "
              f"{found['decoder']['files']:,} values among them went through the service's decoder too: {decoder}. "
              f"{versions}."]  # fmt: skip
    return "\n".join(lines)


COUNTS = ("files", "read", "aside", "refused", "failed")


def _sum(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"what": name, **{key: sum(row[key] for row in rows) for key in COUNTS}}


def in_use() -> str:
    """Return what a page about a model in use quotes: the service under load, and damaged files by what reads them."""
    served, damaged = load("service"), load("hostile")
    parts = [service(served)] if served else []
    if damaged:
        readers = list(dict.fromkeys(row["reader"] for row in damaged["rows"]))
        by_reader = [_sum(name, [row for row in damaged["rows"] if row["reader"] == name]) for name in readers]
        parts.append(hostile({**damaged, "rows": by_reader}))
    return "\n\n".join(parts) or "None yet."


def results() -> str:
    """Return what stands between the marks in the README."""
    parts = [(title, make(found)) for title, make, found in
             (("Throughput", throughput, load("throughput")), ("Costs", costs, load("costs")),
              ("Dispatch", dispatch, load("dispatch")), ("Search", search, load("search")),
              ("Language", language, load("language")), ("Unified", unified, load("unified")),
              ("Service", service, load("service")), ("Hostile files", hostile, load("hostile"))) if found]  # fmt: skip
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in parts) or "None yet."


PAGES = {README: results, IN_USE: in_use}
"""Page → what stands between the marks in it."""


def current() -> dict[Path, str]:
    """Return the pages with today's results in them."""
    found = {}
    for page, made in PAGES.items():
        before, rest = page.read_text().split(BEGIN)
        found[page] = f"{before}{BEGIN}\n\n{made()}\n\n{END}{rest.split(END)[1]}"
    return found


def stale() -> list[Path]:
    """Return the pages that are not what the results would make."""
    return [page for page, text in current().items() if page.read_text() != text]


def write() -> None:
    """Put today's results into the pages."""
    for page, text in current().items():
        page.write_text(text)
