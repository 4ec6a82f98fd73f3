"""The benchmark: what a delivery, a connection and a burst cost this gateway and others. See README.md."""
