"""Frozen pretrained networks, one modality each: raw values → tokens (T, d), computed once and cached."""
