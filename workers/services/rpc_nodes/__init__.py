"""rpc_nodes: health, height and gas price of JSON-RPC nodes; new blocks and reorgs."""
