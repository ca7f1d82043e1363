"""Prompts: tokens that a model learns to put before those of frozen encoders; one file each."""
