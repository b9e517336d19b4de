"""Other people's packages, unchanged, over our sessions."""
