"""Shipped data sets: for each a spec (TOML), the data, and its derive function."""
