"""The offline viewer of a closing volume: pages that a browser opens from the folder, without any network."""
