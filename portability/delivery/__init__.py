"""How people download their archive: links, one-time codes, and limits on attempts."""
