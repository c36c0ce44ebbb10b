"""Metrics for Prometheus: the collector, the endpoint, alarms and a dashboard."""
