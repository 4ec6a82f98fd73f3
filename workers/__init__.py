"""Workers: one process a category. HTTP in front, the bus behind."""
