"""One file a modality."""
