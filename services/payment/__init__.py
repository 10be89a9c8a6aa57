"""The payment service: takes the money of an order once, and gives it back when the order cannot be kept."""
