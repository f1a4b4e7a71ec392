"""Access, interaction and CRM data of one subject, as a signed archive: nouns and rules."""
