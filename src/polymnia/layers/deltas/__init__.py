"""Deltas: what is added to a frozen linear layer's output; one file each."""
