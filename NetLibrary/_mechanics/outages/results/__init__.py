"""What the records of probers mean: streams, outages, counters, figures."""
