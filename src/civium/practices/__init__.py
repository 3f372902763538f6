"""Decision modules, one folder each, independent of one another; found by entry point."""
