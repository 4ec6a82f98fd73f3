"""market_data: prices, volumes, market values and changes from several sources."""
