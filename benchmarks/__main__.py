from benchmarks.throughput import measure
import sys

o = measure(rounds=int(sys.argv[1]), only=tuple(sys.argv[2:]))
for r in o["rows"]:
    print(r)
