"""What Prometheus reads: counters of all processes, and the state of the moment."""
