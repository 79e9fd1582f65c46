"""Other ways to the same end, each written as its users write it; bench_peers.py runs them side by side.

A peer is a module: ``PACKAGES`` names what it imports beyond Telltale's own dependencies, and run as a program it takes
a train.csv (``path,label``), a test.csv (``path``) and the result's path, trains, and writes the result (common.py).
"""
