"""Translators: from one modality's representation to another's, fitted once at the end of a stage; one file each."""
