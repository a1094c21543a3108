"""Expectation suites, one YAML file per source, and the expectation types of our own (`custom.py`). Knows no runs."""
