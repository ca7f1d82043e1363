"""One file a scenario: a way to cut a labelled source into a stream."""
