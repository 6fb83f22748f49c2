"""Side by side with peers; every figure with hardware, versions and number of runs."""
