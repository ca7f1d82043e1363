"""Speed and cost of the loop and of every method, as ratios; `python -m benchmarks` runs all of it."""
