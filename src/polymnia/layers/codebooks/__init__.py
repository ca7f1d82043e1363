"""Codebooks: vectors that all modalities share, to which sequences are quantised; one file each."""
