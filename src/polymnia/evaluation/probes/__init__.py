"""Probes: what else is measured of a learned model after the last stage, beside its scores; one file each."""
