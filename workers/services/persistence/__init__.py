"""persistence: the recorder, and figures of the database."""
