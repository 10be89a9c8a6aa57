"""Random faults under load, and the books at the end."""
