"""scheduler: the jobs of all workers."""
