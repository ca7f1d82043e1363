"""From files to batches: modalities, samples, stages, streams and the scenarios that cut them."""
