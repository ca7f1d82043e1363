"""Families: each turns a batch into outputs and can grow by a stage."""
