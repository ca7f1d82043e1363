"""A model in use over HTTP: it predicts, searches, encodes, shows its history, and takes up new stages as it runs."""
