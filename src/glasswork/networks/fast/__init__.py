"""The same operations, computed faster on a CPU."""
