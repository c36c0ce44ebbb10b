"""The errors that the package raises on purpose, in one tree.

ModelError
├── SpecError            the TOML spec is wrong; ``key`` names the place
├── DatasetError         the data do not match the spec
├── DeriveError          the derive function is missing, changed or returns a wrong result
├── TrainingError        a fit could not be completed
└── ModelDirectoryError  a model directory cannot be used
    ├── TamperedError        a file differs from the manifest
    └── IncompatibleError    written by or for another build
"""

from __future__ import annotations


class ModelError(Exception):
    """Root of all errors of the package."""


class SpecError(ModelError):
    """A spec key is missing, unknown or has a wrong value; `others` are the spec's other faults."""

    def __init__(self, key: str, problem: str, others: tuple[SpecError, ...] = ()) -> None:
        lines = [f"{key}: {problem}", *(str(each) for each in others)]
        super().__init__("\n".join(lines))
        self.key = key
        self.problem = problem
        self.others = others

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, str, tuple[SpecError, ...]]]:
        """Keep all arguments when the error crosses a process boundary."""
        return (SpecError, (self.key, self.problem, self.others))


class DatasetError(ModelError):
    """The data file is missing or changed, or does not match the spec; one fault a line."""


class DeriveError(ModelError):
    """The derive function cannot be found, has changed, or returned a wrong result."""


class TrainingError(ModelError):
    """A fit failed or a worker process died."""


class ModelDirectoryError(ModelError):
    """A model directory is incomplete or unreadable."""


class TamperedError(ModelDirectoryError):
    """A file, or a golden row, differs from the manifest."""


class IncompatibleError(ModelDirectoryError):
    """This build does not know the manifest's schema or scale."""
