"""A bank account whose balance nobody stores: it is what the account's events come to."""
