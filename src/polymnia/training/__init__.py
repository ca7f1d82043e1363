"""The loop, the state on disk and the run folder: written once, for every method and family."""
