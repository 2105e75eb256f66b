"""E2SAR sender and receiver runs: parameters, logs, evidence, verdict."""
