"""Coverage of sources: what checks found that no declaration decides on, and what exports say about it."""
