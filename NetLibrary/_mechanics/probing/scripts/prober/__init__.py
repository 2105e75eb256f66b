"""Batch prober for source images that have python3 (3.6 or newer): everything in one process, no process per probe.

Runs inside the source pod, fed over standard input; speaks the same protocol as prober.bash, see ../../plan.py.
"""
