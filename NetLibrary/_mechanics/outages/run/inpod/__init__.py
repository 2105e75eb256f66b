"""The programs that run inside a pod: prober and echo server.

They use the Python standard library alone (3.8 or later) and import nothing from the rest of the package, so that
they can be sent as one zip archive into any image that has python3; see `archive()` in
`NetLibrary._mechanics.outages.run.archive`.
"""
