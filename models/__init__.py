"""The credit model: its description, fit, judgement, storage and service.

The package knows nothing of the engine. It has three entry points:

- ``models.train.train`` fits a model from a spec and writes a model directory,
- ``models.manifest.read`` reads and verifies such a directory,
- ``models.scorer.ModelScorer`` serves it.
"""
