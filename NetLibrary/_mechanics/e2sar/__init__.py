"""E2SAR sender and receiver runs: objects, run, results, judgement, causes, what is shown."""
