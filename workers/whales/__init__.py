"""What whale_tracking is made of: what counts as large (pure), where a scan ended, and the scan of each chain."""
