"""From what Prometheus and the cluster say of two tracks to a verdict."""
