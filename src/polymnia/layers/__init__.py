"""Parts that models are made of; each is registered and usable alone."""
