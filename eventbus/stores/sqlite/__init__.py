"""The store on SQLite: a file of its own, the user's, or the one that the embedded transport has already."""
