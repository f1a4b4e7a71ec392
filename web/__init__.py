"""Pages, API and downloads: what people and programs reach over HTTP."""
