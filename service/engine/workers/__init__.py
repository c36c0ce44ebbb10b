"""Background workers: one file for each kind of work, and one loop for all."""
