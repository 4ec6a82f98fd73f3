"""Stored updates as files: where they are read from, what rows they are, in which formats they are written."""
