"""What is in a data set, what is wrong with it, and how it may be cut into a stream."""

from polymnia.data.check.check import Check, check

__all__ = ["Check", "check"]
