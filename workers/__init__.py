"""Workers: one process per category. They ask upstreams over HTTP and publish to the bus."""
