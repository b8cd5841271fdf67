"""One true key visualizer heatmap of a sharded, Raft-replicated key-value store."""
