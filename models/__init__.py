"""The credit model: how it is described, fitted, judged, kept and served.

The package knows nothing of the engine. Three doors lead in:

- ``models.train.train`` fits a model from a spec and writes a model directory,
- ``models.manifest.read`` reads and verifies such a directory,
- ``models.scorer.ModelScorer`` serves it.
"""
