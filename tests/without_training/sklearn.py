"""Replaces scikit-learn in processes that run as if the `train` extra were not installed.

LightGBM imports scikit-learn when it is installed, which costs each server 0.9 s at its start.
"""

raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
