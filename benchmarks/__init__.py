"""Questions about speed, one file each, answered as ratios measured in one run.

``python -m benchmarks NAME`` runs one of them; ``--json FILE`` keeps its figures beside the
machine's description, so that figures from two machines are never compared by accident.
"""
