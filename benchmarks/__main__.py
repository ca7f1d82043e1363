"""`python -m benchmarks [throughput] [costs] [dispatch] [search] [language] [unified] [service] [hostile] [table]`."""

import argparse
import sys

from benchmarks import tables

PARTS = ("throughput", "costs", "dispatch", "search", "language", "unified", "service", "hostile")


def main() -> int:
    given = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed, cost and failures.")
    given.add_argument(
        "parts",
        nargs="*",
        choices=[*PARTS, "table", []],
        help="all by default",
    )
    given.add_argument("--rounds", type=int, default=5, help="of throughput (default 5)")
    given.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these methods, or hosts; nothing is kept then"
    )
    given.add_argument("--check", action="store_true", help="with `table`: only say whether the pages are current")
    given.add_argument("--rows", type=int, default=1_000_000, help="of search; nothing is kept of fewer")
    given.add_argument("--files", type=int, default=10_000, help="of hostile; nothing is kept of fewer, or of a seed")
    given.add_argument("--seed", type=int, default=0, help="of hostile")
    asked = given.parse_args()
    parts = asked.parts or [*PARTS, "table"]
    failed = False
    if "throughput" in parts:
        from benchmarks import peers, throughput

        found = throughput.measure(rounds=asked.rounds, only=tuple(asked.only))
        if not asked.only:
            tables.save("throughput", found)
        print(f"\n{tables.throughput(found)}\n")
        if found["peer"] is None:
            print(f"{peers.HOW}\n")
    if "costs" in parts:
        from benchmarks import costs

        found = costs.measure(only=tuple(asked.only))
        if not asked.only:
            tables.save("costs", found)
        print(f"\n{tables.costs(found)}\n")
    if "dispatch" in parts:
        from benchmarks import dispatch

        found = dispatch.measure(rounds=max(asked.rounds, 15))
        tables.save("dispatch", found)
        print(f"\n{tables.dispatch(found)}\n")
    if "search" in parts:
        from benchmarks import search

        found = search.measure(rows=asked.rows)
        if asked.rows >= search.ROWS:
            tables.save("search", found)
        print(f"\n{tables.search(found)}\n")
    if "language" in parts:
        from benchmarks import language

        found = language.measure(rounds=max(asked.rounds, 9), only=tuple(asked.only))
        if not asked.only:
            tables.save("language", found)
        print(f"\n{tables.language(found)}\n")
    if "unified" in parts:
        from benchmarks import unified

        found = unified.measure(rounds=max(asked.rounds, 25), only=tuple(asked.only))
        if not asked.only:
            tables.save("unified", found)
        print(f"\n{tables.unified(found)}\n")
    if "service" in parts:
        from benchmarks import service

        found = service.measure()
        tables.save("service", found)
        print(f"\n{tables.service(found)}\n")
        failed |= not found["met"]
    if "hostile" in parts:
        from benchmarks import hostile

        found = hostile.measure(files=asked.files, seed=asked.seed)
        if (asked.files, asked.seed) == (hostile.CASES, hostile.SEED):
            tables.save("hostile", found)
        print(f"\n{tables.hostile(found)}\n")
        failed |= not found["met"]
    if asked.check:
        return 1 if tables.stale() else 0
    if not asked.only:
        tables.write()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
