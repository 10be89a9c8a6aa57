"""The email service: tells the user how it goes with an order."""
