"""Applies batches of commands: read, decide in order, write, commit, answer."""
