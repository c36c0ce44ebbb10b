"""Replaces scikit-learn in processes that run as if only the needs of serving were installed.

Only the tests need it. LightGBM imports scikit-learn when it is installed, which costs each server
0.9 s at its start.
"""

raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
