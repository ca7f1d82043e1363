"""A model in use: a folder that grows by a stage at a time, each of which is accepted or kept aside."""
