"""`make bench`: what a node costs, as ratios within one run (docs/bench.md)."""
