"""Probes: what else is measured of a learned model beside its scores; one file each."""
