"""Networks: sites, surgery, methods, weights."""
