"""Backups: written to a folder or to S3, proved whole, and put back into a new city folder."""
