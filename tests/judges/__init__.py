"""Programs that are not ours, and what they say of an archive: readers of ZIPs, JOSE libraries, BagIt, tables."""
