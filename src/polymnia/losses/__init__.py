"""Pure functions on tensors; each returns a scalar or one value a row."""
