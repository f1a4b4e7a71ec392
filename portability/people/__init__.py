"""The people whose data it is: subjects and their identities, the directory, pseudonyms, and locks on a subject."""
