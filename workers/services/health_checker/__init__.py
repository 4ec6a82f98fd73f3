"""health_checker: every provider as the cluster experienced it."""
