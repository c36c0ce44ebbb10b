"""Benchmarks, one question in each file, answered as ratios that are measured in one run.

``python -m benchmarks NAME`` runs one of them; ``--json FILE`` writes its figures with the
machine's description, so that figures of two machines are not compared by accident.
"""
