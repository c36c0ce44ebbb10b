"""The one tree of errors that the package raises on purpose.

ModelError
├── SpecError            the TOML spec is wrong; ``key`` names the place
├── DatasetError         the data do not fit the spec
├── DeriveError          the derive function is missing, altered or misbehaves
├── TrainingError        a fit could not be completed
└── ModelDirectoryError  a model directory cannot be used
    ├── TamperedError        a file differs from what the manifest promises
    └── IncompatibleError    written by, or for, something this build does not know
"""

from __future__ import annotations


class ModelError(Exception):
    """Root of all errors of the package."""


class SpecError(ModelError):
    """A spec key is missing, unknown or has a wrong value."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, str]]:
        """Keep both arguments when the error crosses a process boundary."""
        return (SpecError, (self.key, self.problem))


class DatasetError(ModelError):
    """The data file is absent, altered, or does not have what the spec says."""


class DeriveError(ModelError):
    """The derive function cannot be found, was altered, or returned the wrong thing."""


class TrainingError(ModelError):
    """A fit failed or a worker process died."""


class ModelDirectoryError(ModelError):
    """A model directory is incomplete or unreadable."""


class TamperedError(ModelDirectoryError):
    """A file, or a golden row, differs from what the manifest promises."""


class IncompatibleError(ModelDirectoryError):
    """The manifest's schema or scale is not one that this build knows."""
