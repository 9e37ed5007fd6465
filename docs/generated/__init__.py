"""Pages that are written when the site is built, from what the registry, the records and the schema say."""
