"""Request latency and new connections per second, with fortio: its server and client in pods.

Chosen after trying it beside sockperf on one link: medians of 11 and 7 microseconds, the same two figures at the 99th
percentile within the scatter of the machine, and one program and one published image do both measurements, with JSON.
"""
