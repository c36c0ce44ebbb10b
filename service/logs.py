"""Structured logs: JSON lines on standard error, without personal data."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str = "INFO") -> None:
    """Every event becomes one JSON object with time (UTC), level and logger."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
