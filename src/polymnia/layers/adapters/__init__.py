"""Adapters: what a model trains beside the layers of frozen encoders; one file each."""
