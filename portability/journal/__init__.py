"""The journal: a copy of the audit log in object storage, and how it completes a database that lost commits."""
