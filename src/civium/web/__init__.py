"""The ASGI application: doors over HTTP, the operators' interface and the first page."""
