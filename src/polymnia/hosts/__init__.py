"""Hosts: frozen language models that a family builds on; one file each."""
