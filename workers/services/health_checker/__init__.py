"""health_checker: the health of every provider, from the cluster's own calls."""
