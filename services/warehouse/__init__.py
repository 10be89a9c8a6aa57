"""The warehouse service: holds the goods of an order, sends them off, or lets them go again."""
