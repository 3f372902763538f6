"""Log, store, catalogue, blobs and compute: each chosen by a URL, each with declared abilities."""
