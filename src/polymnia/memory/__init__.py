"""What may be remembered: samples in preallocated tensors, and which of them stay."""
