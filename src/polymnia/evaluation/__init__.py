"""Scores: what was learned, what was kept, and what it cost."""
