"""Objectives: what pulls the sequences of paired modalities together; one file each."""
