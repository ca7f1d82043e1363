"""Scorers: what the score of a stage is, by its task; one file each."""
