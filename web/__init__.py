"""Pages and HTTP API: people ask for their data and download it; staff help, and see no content."""
