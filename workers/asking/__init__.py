"""How upstreams are asked: the provider port, calls within a budget, pools of sources, figures kept in parts."""
