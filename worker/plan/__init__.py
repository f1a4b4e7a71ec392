"""What an export reads: pure rules for its datasets, fields, slices and positions."""
