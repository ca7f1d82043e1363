"""Experiments: runs × methods × seeds, with claims written down before running, and pages made from the results."""

from polymnia.experiments.runner import reproduce

__all__ = ["reproduce"]
