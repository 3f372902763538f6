"""``civium check``: contracts of practices, layers and pages; ``civium new``: the scaffold that keeps them."""
