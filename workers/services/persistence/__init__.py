"""persistence: the recorder, and what it has stored."""
